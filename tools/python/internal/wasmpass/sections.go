package wasmpass

import (
	"bytes"
	"errors"
	"fmt"
)

// Section ids. The numbers are the spec's; the order of sections in a module
// differs from them for the tag and the data count section.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	secTag
	numSections
)

var sectionOrder = [...]int{
	secType, secImport, secFunction, secTable, secMemory, secTag, secGlobal,
	secExport, secStart, secElement, secDataCount, secCode, secData,
}

// sections are the contents of the known sections by id; nil where absent.
type sections [numSections][]byte

var preamble = []byte{0, 'a', 's', 'm', 1, 0, 0, 0}

// split takes a module apart and drops its custom sections.
func split(module []byte) (sections, error) {
	var s sections
	if !bytes.HasPrefix(module, preamble) {
		return s, errors.New("not a WebAssembly 1.0 module: wrong preamble")
	}
	r := reader{b: module, pos: len(preamble)}
	for r.err == nil && r.pos < len(module) {
		at := r.pos
		id := int(r.byte())
		content := r.bytes(r.u32())
		switch {
		case r.err != nil:
			return s, fmt.Errorf("section at %d: %w", at, r.err)
		case id == secCustom:
		case id >= numSections:
			return s, fmt.Errorf("section at %d: unknown id %d", at, id)
		case s[id] != nil:
			return s, fmt.Errorf("section at %d: id %d appears twice", at, id)
		default:
			s[id] = content
		}
	}
	return s, nil
}

// nameSection returns the content of the custom section of names, behind its own
// name, of a module that split takes; nil if there is none.
func nameSection(module []byte) ([]byte, error) {
	r := reader{b: module, pos: len(preamble)}
	for r.err == nil && r.pos < len(module) {
		id := r.byte()
		content := reader{b: r.bytes(r.u32())}
		if id == secCustom && content.name() == "name" {
			return content.b[content.pos:], content.err
		}
	}
	return nil, r.err
}

func join(s sections) []byte {
	size := len(preamble)
	for _, c := range s {
		size += len(c) + 6
	}
	out := append(make([]byte, 0, size), preamble...)
	for _, id := range sectionOrder {
		if s[id] != nil {
			out = append(appendU32(append(out, byte(id)), uint32(len(s[id]))), s[id]...)
		}
	}
	return out
}

// countOf splits a section into its leading count and the rest. An absent
// section counts zero.
func countOf(section []byte, what string) (uint32, []byte, error) {
	r := reader{b: section}
	n := r.count()
	if r.err != nil {
		return 0, nil, fmt.Errorf("%s: %w", what, r.err)
	}
	return n, section[r.pos:], nil
}
