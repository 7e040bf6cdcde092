//go:build !race

package golden

// Race reports whether the race detector is on. The numeric goldens are then
// left to a run without it: they are heavy and share no memory that other tests
// don't.
const Race = false
