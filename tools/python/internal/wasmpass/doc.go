// Package wasmpass rewrites WebAssembly modules before they are compiled.
//
// Inline puts functions into those that call them. Meter makes loops
// interruptible. Lower takes exception handling out, for an engine that has none
// or a poor one. Fold spells addresses so that an engine checks them less often.
// Unload makes a module's first memory a
// function to call, so that an instance that gets its memory otherwise need not
// fill it twice. Hollow leaves of a module what an engine needs beside its native
// code.
//
// Custom sections (names, debug information) are dropped by all of them. No
// index of the module moves: what is added goes to the end of its index space.
// The passes read what they must and trust nothing, but they do not validate:
// whoever compiles the result does that.
package wasmpass

// Version goes into the keys of whatever is derived from a rewritten module.
// Raise it with every change of the output.
const Version = "6"
