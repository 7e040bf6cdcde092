// Package archtest holds the tests that keep the module's architecture as
// docs/architecture.md states it: which package may import which, where unsafe
// and cgo may stand, and that one function alone calls a tool.
package archtest
