package wasmpass

import (
	"bytes"
	"fmt"
)

// Lower returns the module without exception handling. A throw stores its tag
// and its payload in two globals and branches to the innermost handler; each
// call that may throw is followed by a look at them. An exception that leaves
// an exported function is a trap.
//
// Tags may have no payload or one i32, which is what C++ exceptions and
// setjmp of LLVM's toolchains need. An exnref becomes an i64, so a reference to
// one is only understood where types are written out, in blocks, locals and
// functions. Tables and globals of exnref, and the older try and catch
// instructions, are refused, here or by whoever compiles the result.
func Lower(module []byte) ([]byte, error) {
	o, err := read(module)
	if err == nil {
		err = (&lowering{outline: o}).rewrite()
	}
	if err != nil {
		return nil, fmt.Errorf("lower exceptions: %w", err)
	}
	return join(o.secs), nil
}

// lowering holds what the steps of one rewrite learn from each other.
type lowering struct {
	*outline
	payloads []bool // by tag: whether it carries an i32
	throws   []bool // by function: whether an exception may leave it
	pending  uint32 // global: tag+1 of the exception under way, or 0
	payload  uint32 // global: its payload
	rethrow  uint32 // function that makes a packed exception the pending one
}

func (l *lowering) rewrite() error {
	if err := l.readTags(); err != nil {
		return err
	}
	for i, t := range l.types {
		l.types[i] = funcType{withoutExnref(t.params), withoutExnref(t.results)}
	}
	if err := l.findThrowing(); err != nil {
		return err
	}
	var err error
	if l.pending, err = l.addGlobal(0); err != nil {
		return err
	}
	if l.payload, err = l.addGlobal(0); err != nil {
		return err
	}
	l.rethrow = l.addFunction(funcType{params: []byte{typeI64}})
	added := [][]byte{l.rethrowBody()}
	guards, err := l.guardExports()
	if err != nil {
		return err
	}
	added = append(added, guards...)
	err = l.rewriteCode(func(out []byte, index uint32, body []byte) ([]byte, error) {
		return l.lowerBody(out, index, body)
	}, added...)
	l.secs[secTag] = nil
	l.encodeTypes()
	return err
}

func withoutExnref(values []byte) []byte {
	return bytes.ReplaceAll(values, []byte{typeExnref}, []byte{typeI64})
}

func (l *lowering) readTags() error {
	if l.tags > 0 {
		return fmt.Errorf("the module imports tags")
	}
	r := reader{b: l.secs[secTag]}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		r.byte() // its kind: always an exception
		typ := r.u32()
		if r.err != nil || int(typ) >= len(l.types) {
			r.fail(errEnd)
			break
		}
		t := l.types[typ]
		if len(t.params) > 1 || len(t.params) == 1 && t.params[0] != typeI32 || len(t.results) != 0 {
			return fmt.Errorf("tag %d carries values of types %#x; at most one i32 is known", len(l.payloads), t.params)
		}
		l.payloads = append(l.payloads, len(t.params) == 1)
	}
	return r.end("tag section")
}

// findThrowing marks the functions that an exception may leave: those that
// throw, call through a table, or call such a function. What catches is not
// looked at, so some are marked that need not be.
func (l *lowering) findThrowing() error {
	l.throws = make([]bool, len(l.functions))
	callers := make([][]uint32, len(l.functions))
	var todo []uint32
	err := l.eachBody(len(l.functions)-len(l.imports), func(index uint32, body []byte) error {
		callees, itself, err := calls(body)
		if err != nil {
			return err
		}
		if itself {
			l.throws[index] = true
			todo = append(todo, index)
		}
		for _, c := range callees {
			if int(c) >= len(callers) {
				return fmt.Errorf("calls function %d of %d", c, len(callers))
			}
			if n := len(callers[c]); n == 0 || callers[c][n-1] != index {
				callers[c] = append(callers[c], index)
			}
		}
		return nil
	})
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, caller := range callers[at] {
			if !l.throws[caller] {
				l.throws[caller] = true
				todo = append(todo, caller)
			}
		}
	}
	return err
}

// calls returns the functions that a body calls, and whether it throws itself
// or calls something that is not known before it runs.
func calls(body []byte) (callees []uint32, throws bool, err error) {
	r := reader{b: body}
	r.skipLocals()
	for r.err == nil && r.pos < len(body) {
		at := r.pos
		switch op := r.byte(); op {
		case opCall, opReturnCall:
			callees = append(callees, r.u32())
		case opThrow, opThrowRef, opCallIndirect, opReturnCallIndirect, opCallRef, opReturnCallRef:
			throws = true
			fallthrough
		default:
			if err := r.immediates(op); err != nil {
				return nil, false, fmt.Errorf("offset %d: %w", at, err)
			}
		}
	}
	return callees, throws, r.endsWell()
}

// guardExports puts a function before every exported one that an exception may
// leave, and before the start function. It returns their bodies.
func (l *lowering) guardExports() ([][]byte, error) {
	var bodies [][]byte
	guard := func(index uint32) uint32 {
		if int(index) >= len(l.throws) || !l.throws[index] {
			return index
		}
		t := l.types[l.functions[index]]
		bodies = append(bodies, l.guardBody(index, len(t.params)))
		return l.addFunction(t)
	}
	if section := l.secs[secExport]; section != nil {
		r := reader{b: section}
		n := r.count()
		out := appendU32(nil, n)
		for ; n > 0 && r.err == nil; n-- {
			from := r.pos
			r.name()
			kind := r.byte()
			out = append(out, section[from:r.pos]...)
			index := r.u32()
			if kind == 0 {
				index = guard(index)
			}
			out = appendU32(out, index)
		}
		if err := r.end("export section"); err != nil {
			return nil, err
		}
		l.secs[secExport] = out
	}
	if section := l.secs[secStart]; section != nil {
		r := reader{b: section}
		index := r.u32()
		if err := r.end("start section"); err != nil {
			return nil, err
		}
		l.secs[secStart] = appendU32(nil, guard(index))
	}
	return bodies, nil
}

func (l *lowering) guardBody(index uint32, params int) []byte {
	b := []byte{0} // no locals
	for i := range params {
		b = appendU32(append(b, opLocalGet), uint32(i))
	}
	b = appendU32(append(b, opCall), index)
	b = appendU32(append(b, opGlobalGet), l.pending)
	b = append(b, opIf, blockEmpty, opI32Const, 0)
	b = appendU32(append(b, opGlobalSet), l.pending)
	return append(b, opUnreachable, opEnd, opEnd)
}

// rethrowBody unpacks an exception reference. A null one traps.
func (l *lowering) rethrowBody() []byte {
	b := []byte{0, opLocalGet, 0, opI64Eqz, opIf, blockEmpty, opUnreachable, opEnd}
	b = appendU32(append(b, opLocalGet, 0, opI32WrapI64, opGlobalSet), l.payload)
	b = append(b, opLocalGet, 0, opI64Const, 32, opI64ShrU, opI32WrapI64)
	b = appendU32(append(b, opGlobalSet), l.pending)
	return append(b, opEnd)
}

// packed pushes the exception under way as a reference.
func (l *lowering) packed(b []byte) []byte {
	b = appendU32(append(b, opGlobalGet), l.pending)
	b = append(b, opI64ExtendI32U, opI64Const, 32, opI64Shl)
	b = appendU32(append(b, opGlobalGet), l.payload)
	return append(b, opI64ExtendI32U, opI64Or)
}
