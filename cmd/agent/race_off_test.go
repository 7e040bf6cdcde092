//go:build !race

package main

// race reports whether the race detector is on. It makes the model ten times
// slower, so the tests then run a few runs instead of all.
const race = false
