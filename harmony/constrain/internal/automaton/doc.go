// Package automaton holds finite automata over characters and their boolean
// algebra: patterns, formats, lists of words, and sets of numbers by their
// digits. Every automaton is built whole, within a limit of states, so that
// using one needs no lock and cannot fail.
package automaton
