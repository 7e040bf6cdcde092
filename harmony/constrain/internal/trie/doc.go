// Package trie holds a vocabulary by its bytes: one flat trie in depth-first
// order, in which a dead prefix skips all that begins with it by one look-up,
// and the tokens that stay inside a JSON string by their length.
package trie
