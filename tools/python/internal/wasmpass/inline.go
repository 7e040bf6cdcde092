package wasmpass

import (
	"errors"
	"fmt"
)

// Inline returns the module with the calls among some functions replaced by
// what they call: each of those named is put into all behind it in the list that
// call it directly. A call costs wazero some twenty instructions, and whatever
// the caller has in registers; a compiler of C that looks at one file at a time
// leaves many of them to the smallest functions.
//
// Names are those of the module's name section, each of one function.
func Inline(module []byte, names []string) ([]byte, error) {
	o, err := read(module)
	if err == nil {
		err = (&inlining{outline: o, done: map[uint32]*inlined{}}).rewrite(module, names)
	}
	if err != nil {
		return nil, fmt.Errorf("inline functions: %w", err)
	}
	return join(o.secs), nil
}

type inlining struct {
	*outline
	done map[uint32]*inlined
}

// inlined is a function after other functions were put into it.
type inlined struct {
	params, results []byte
	locals          []byte // the types of those that are declared
	code            []byte // with its last end
}

func (l *inlining) rewrite(module []byte, names []string) error {
	order, err := functionsNamed(module, names)
	if err != nil {
		return err
	}
	place := make(map[uint32]int, len(order))
	for i, index := range order {
		place[index] = i
	}
	bodies := make([][]byte, len(order))
	err = l.eachBody(len(l.functions)-len(l.imports), func(index uint32, body []byte) error {
		if i, ok := place[index]; ok {
			bodies[i] = body
		}
		return nil
	})
	for i, index := range order {
		if err == nil && bodies[i] == nil {
			err = errors.New("it is imported")
		}
		if err == nil {
			l.done[index], err = l.inline(bodies[i], l.types[l.functions[index]])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
	}
	return l.rewriteCode(func(out []byte, index uint32, body []byte) ([]byte, error) {
		f := l.done[index]
		if f == nil {
			return append(out, body...), nil
		}
		out = appendU32(out, uint32(len(f.locals)))
		for _, t := range f.locals {
			out = append(out, 1, t)
		}
		return append(out, f.code...), nil
	})
}

// functionsNamed finds functions by their names.
func functionsNamed(module []byte, names []string) ([]uint32, error) {
	const functions = 1
	places := make(map[string]int, len(names))
	for i, name := range names {
		places[name] = i
	}
	indices, found := make([]uint32, len(names)), make([]int, len(names))
	section, err := nameSection(module)
	r := reader{b: section}
	for r.err == nil && r.pos < len(r.b) {
		kind := r.byte()
		sub := reader{b: r.bytes(r.u32())}
		if kind != functions {
			continue
		}
		for n := sub.u32(); n > 0 && sub.err == nil; n-- {
			index := sub.u32()
			if i, ok := places[string(sub.bytes(sub.u32()))]; ok {
				indices[i] = index
				found[i]++
			}
		}
		r.fail(sub.err)
	}
	if err == nil && r.err != nil {
		err = fmt.Errorf("name section: %w", r.err)
	}
	for i, n := range found {
		if err == nil && n != 1 {
			err = fmt.Errorf("%d functions are named %s", n, names[i])
		}
	}
	return indices, err
}

// inline puts what is done into a body.
func (l *inlining) inline(body []byte, t funcType) (*inlined, error) {
	f := &inlined{params: t.params, results: t.results}
	r := reader{b: body}
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		count, typ := r.u32(), r.byte()
		if uint64(len(f.locals))+uint64(count) > maxLocals {
			return nil, fmt.Errorf("more than %d locals", maxLocals)
		}
		for range count {
			f.locals = append(f.locals, typ)
		}
	}
	added := map[byte][]uint32{} // locals for what is put in, by type
	for r.err == nil && r.pos < len(body) {
		from := r.pos
		op := r.byte()
		if err := r.immediates(op); err != nil {
			return nil, fmt.Errorf("offset %d: %w", from, err)
		}
		if op == opCall {
			called := reader{b: body[from+1 : r.pos]}
			if callee := l.done[called.u32()]; callee != nil {
				var err error
				if f.code, err = f.put(f.code, callee, added); err != nil {
					return nil, fmt.Errorf("offset %d: %w", from, err)
				}
				continue
			}
		}
		f.code = append(f.code, body[from:r.pos]...)
	}
	return f, r.endsWell()
}

const maxLocals = 1 << 12

// put appends the code of the callee in place of a call to it. Its locals become
// ones of f, which all that is put into f share.
func (f *inlined) put(out []byte, callee *inlined, added map[byte][]uint32) ([]byte, error) {
	types := append(append([]byte{}, callee.params...), callee.locals...)
	if len(f.locals)+len(types) > maxLocals || len(callee.results) > 1 {
		return nil, errors.New("what it calls has too many locals or results")
	}
	used := map[byte]int{}
	locals := make([]uint32, len(types))
	for i, t := range types {
		if used[t] == len(added[t]) {
			added[t] = append(added[t], uint32(len(f.params)+len(f.locals)))
			f.locals = append(f.locals, t)
		}
		locals[i] = added[t][used[t]]
		used[t]++
	}
	for i := len(callee.params) - 1; i >= 0; i-- {
		out = appendU32(append(out, opLocalSet), locals[i])
	}
	for i, t := range callee.locals {
		switch t {
		case typeI32:
			out = append(out, opI32Const, 0)
		case typeI64:
			out = append(out, opI64Const, 0)
		case typeF32:
			out = append(out, opF32Const, 0, 0, 0, 0)
		case typeF64:
			out = append(out, opF64Const, 0, 0, 0, 0, 0, 0, 0, 0)
		default:
			return nil, fmt.Errorf("what it calls has a local of type 0x%02x", t)
		}
		out = appendU32(append(out, opLocalSet), locals[len(callee.params)+i])
	}
	out = append(out, opBlock)
	if len(callee.results) == 0 {
		out = append(out, blockEmpty)
	}
	out = append(out, callee.results...)
	return callee.copyTo(out, locals)
}

// copyTo appends the code with other locals, and branches in place of returns.
func (f *inlined) copyTo(out []byte, locals []uint32) ([]byte, error) {
	r := reader{b: f.code}
	depth := uint32(0)
	for r.err == nil && r.pos < len(f.code) {
		from := r.pos
		op := r.byte()
		switch op {
		case opLocalGet, opLocalSet, opLocalTee:
			i := r.u32()
			if int(i) >= len(locals) {
				return nil, fmt.Errorf("local %d of %d", i, len(locals))
			}
			out = appendU32(append(out, op), locals[i])
			continue
		case opReturn:
			out = appendU32(append(out, opBr), depth)
			continue
		case opBlock, opLoop, opIf, opTryTable:
			depth++
		case opEnd:
			depth--
		case opReturnCall, opReturnCallIndirect, opReturnCallRef, opTry, opCatch, opCatchAll, opDelegate:
			return nil, fmt.Errorf("what it calls has opcode 0x%02x", op)
		}
		if err := r.immediates(op); err != nil {
			return nil, err
		}
		out = append(out, f.code[from:r.pos]...)
	}
	return out, r.err
}
