package wasmpass

import (
	"errors"
	"fmt"
)

// A body that an exception may leave is wrapped in a block; whoever lets an
// exception through branches to its end, where zero values are returned:
//
//	block
//	  ... return
//	end
//	zero values
//
// A try_table becomes two blocks. The inner one is left to its end by an
// exception, the outer one by everything else:
//
//	block $done (the type of the try_table)
//	  block $handler
//	    ... br $done
//	  end
//	  for each clause: if the tag is its own, branch to its label
//	  br to the next handler outside
//	end
//
// So labels change. frame keeps where the branches to a block of the original
// go now; places are counted from the outside, 0 being the function itself.

// frame is an open block of the original.
type frame struct {
	target  int // place that a branch to it goes to
	handler int // place of the handler inside it, if it is a try_table
	clauses []clause
}

// clause is one catch of a try_table.
type clause struct {
	tag   uint32
	all   bool // any tag
	ref   bool // gives a reference as well
	place int  // where it branches to
}

// bodyLowering rewrites one body.
type bodyLowering struct {
	*lowering
	r        reader
	out      []byte
	frames   []frame
	depth    int  // blocks that are open in out
	escaping bool // whether the body is wrapped
	results  []byte
}

func (l *lowering) lowerBody(out []byte, index uint32, body []byte) ([]byte, error) {
	b := bodyLowering{
		lowering: l, r: reader{b: body}, out: out, frames: []frame{{handler: -1}}, depth: 1,
		escaping: l.throws[index], results: l.types[l.functions[index]].results,
	}
	b.locals()
	if b.escaping {
		b.open(blockEmpty)
	}
	for b.r.err == nil && b.r.pos < len(body) {
		at := b.r.pos
		if len(b.frames) == 0 {
			return nil, errors.New("code behind the end")
		}
		if err := b.instruction(); err != nil {
			return nil, fmt.Errorf("offset %d: %w", at, err)
		}
	}
	if b.r.err != nil {
		return nil, b.r.err
	}
	if len(b.frames) != 0 {
		return nil, errNoEnd
	}
	return b.out, nil
}

// locals copies the declarations.
func (b *bodyLowering) locals() {
	n := b.r.u32()
	b.out = appendU32(b.out, n)
	for ; n > 0 && b.r.err == nil; n-- {
		b.out = appendU32(b.out, b.r.u32())
		from := b.r.pos
		b.r.valueType()
		b.out = append(b.out, withoutExnref(b.r.b[from:b.r.pos])...)
	}
}

func (b *bodyLowering) open(code ...byte) {
	b.out = append(append(b.out, opBlock), code...)
	b.depth++
}

func (b *bodyLowering) instruction() error {
	r, from := &b.r, b.r.pos
	op := r.byte()
	switch op {
	case opBlock, opLoop, opIf:
		b.out = append(append(b.out, op), b.blockType()...)
		b.frames = append(b.frames, frame{target: b.depth, handler: -1})
		b.depth++
		return nil
	case opTryTable:
		return b.try()
	case opEnd:
		b.end()
		return nil
	case opBr, opBrIf, opBrOnNull, opBrOnNonNull:
		return b.branch(op, 1)
	case opBrTable:
		n := r.u32()
		if uint64(n) > uint64(len(r.b)) {
			return errEnd
		}
		b.out = appendU32(append(b.out, op), n)
		return b.labels(n + 1)
	case opThrow:
		return b.throw(r.u32())
	case opThrowRef:
		b.out = appendU32(append(b.out, opCall), b.rethrow)
		b.escape()
		return nil
	case opTry, opCatch, opRethrow, opDelegate, opCatchAll:
		return fmt.Errorf("opcode 0x%02x: exception handling of the older kind", op)
	case opSelectTyped, opRefNull:
		if b.exnref(op) {
			return nil
		}
	}
	if err := r.immediates(op); err != nil {
		return err
	}
	if r.err == nil {
		b.out = append(b.out, r.b[from:r.pos]...)
	}
	switch op {
	case opCall:
		called := reader{b: r.b[from+1 : r.pos]}
		if f := called.u32(); int(f) < len(b.throws) && b.throws[f] {
			b.look()
		}
	case opCallIndirect, opCallRef:
		b.look()
	}
	return nil
}

// exnref rewrites the two instructions that may name the type among their
// immediates. It reports false, with nothing read, if they don't.
func (b *bodyLowering) exnref(op byte) bool {
	at := b.r.pos
	switch rest := b.r.b[at:]; {
	case op == opRefNull && len(rest) > 0 && rest[0] == typeExnref:
		b.out = append(b.out, opI64Const, 0)
		b.r.pos++
	case op == opSelectTyped && len(rest) > 1 && rest[0] == 1 && rest[1] == typeExnref:
		b.out = append(b.out, op, 1, typeI64)
		b.r.pos += 2
	default:
		return false
	}
	return true
}

func (b *bodyLowering) blockType() []byte {
	from := b.r.pos
	b.r.leb(33)
	if t := b.r.b[from:b.r.pos]; len(t) != 1 || t[0] != typeExnref {
		return t
	}
	return []byte{typeI64}
}

// paramsOf returns the parameters of a block type.
func (b *bodyLowering) paramsOf(t []byte) ([]byte, error) {
	if len(t) == 1 && t[0]&0x40 != 0 { // nothing, or a value type: a negative number
		return nil, nil
	}
	r := reader{b: t}
	i := r.u32()
	if r.err != nil || int(i) >= len(b.types) {
		return nil, fmt.Errorf("block type %d of %d", i, len(b.types))
	}
	return b.types[i].params, nil
}

// branch copies a branch with its label rewritten.
func (b *bodyLowering) branch(op byte, n uint32) error {
	b.out = append(b.out, op)
	return b.labels(n)
}

func (b *bodyLowering) labels(n uint32) error {
	for ; n > 0 && b.r.err == nil; n-- {
		place, err := b.place(b.r.u32())
		if err != nil {
			return err
		}
		b.out = appendU32(b.out, b.label(place))
	}
	return nil
}

// place returns where a label of the original goes.
func (b *bodyLowering) place(label uint32) (int, error) {
	if uint64(label) >= uint64(len(b.frames)) {
		return 0, fmt.Errorf("label %d of %d", label, len(b.frames))
	}
	return b.frames[len(b.frames)-1-int(label)].target, nil
}

func (b *bodyLowering) label(place int) uint32 { return uint32(b.depth - 1 - place) }

// escape branches to the innermost handler.
func (b *bodyLowering) escape() { b.out = appendU32(append(b.out, opBr), b.label(b.handler())) }

// look branches there if an exception is under way.
func (b *bodyLowering) look() {
	b.out = appendU32(append(b.out, opGlobalGet), b.pending)
	b.out = appendU32(append(b.out, opBrIf), b.label(b.handler()))
}

func (b *bodyLowering) handler() int {
	for i := len(b.frames) - 1; i >= 0; i-- {
		if h := b.frames[i].handler; h >= 0 {
			return h
		}
	}
	return 1 // the block around the body
}

func (b *bodyLowering) throw(tag uint32) error {
	if int64(tag) >= int64(len(b.payloads)) {
		return fmt.Errorf("tag %d of %d", tag, len(b.payloads))
	}
	if b.payloads[tag] {
		b.out = appendU32(append(b.out, opGlobalSet), b.payload)
	}
	b.out = appendS32(append(b.out, opI32Const), int32(tag)+1)
	b.out = appendU32(append(b.out, opGlobalSet), b.pending)
	b.escape()
	return nil
}

func (b *bodyLowering) try() error {
	t := b.blockType()
	params, err := b.paramsOf(t)
	if err != nil {
		return err
	}
	clauses, err := b.readClauses()
	if err != nil {
		return err
	}
	f := frame{target: b.depth, handler: b.depth + 1, clauses: clauses}
	b.open(t...)
	if len(params) == 0 {
		b.open(blockEmpty)
	} else {
		b.open(appendS32(nil, int32(b.typeOf(funcType{params: params})))...)
	}
	b.frames = append(b.frames, f)
	return nil
}

func (b *bodyLowering) readClauses() ([]clause, error) {
	var clauses []clause
	for n := b.r.u32(); n > 0 && b.r.err == nil; n-- {
		kind := b.r.byte()
		c := clause{all: kind >= 2, ref: kind&1 != 0}
		if !c.all {
			if c.tag = b.r.u32(); int64(c.tag) >= int64(len(b.payloads)) {
				return nil, fmt.Errorf("catch of tag %d of %d", c.tag, len(b.payloads))
			}
		}
		var err error
		if c.place, err = b.place(b.r.u32()); err != nil {
			return nil, err
		}
		if kind > 3 {
			return nil, fmt.Errorf("catch of kind %d", kind)
		}
		clauses = append(clauses, c)
	}
	return clauses, nil
}

func (b *bodyLowering) end() {
	f := b.frames[len(b.frames)-1]
	b.frames = b.frames[:len(b.frames)-1]
	switch {
	case len(b.frames) == 0:
		b.endBody()
		return
	case f.handler >= 0:
		b.out = append(b.out, opBr, 1, opEnd)
		b.depth--
		for _, c := range f.clauses {
			b.catch(c)
		}
		b.escapeFromTry()
	}
	b.out = append(b.out, opEnd)
	b.depth--
}

// escapeFromTry hands an exception on that no clause has caught. In a body
// that nothing may leave, none can be there.
func (b *bodyLowering) escapeFromTry() {
	if h := b.handler(); h > 1 || b.escaping {
		b.escape()
		return
	}
	b.out = append(b.out, opUnreachable)
}

func (b *bodyLowering) endBody() {
	if b.escaping {
		b.out = append(b.out, opReturn, opEnd)
		for _, t := range b.results {
			b.out = appendZero(b.out, t)
		}
	}
	b.out = append(b.out, opEnd)
}

// catch branches to the clause's label if the exception is for it.
func (b *bodyLowering) catch(c clause) {
	if !c.all {
		b.out = appendU32(append(b.out, opGlobalGet), b.pending)
		b.out = appendS32(append(b.out, opI32Const), int32(c.tag)+1)
		b.out = append(b.out, opI32Eq, opIf, blockEmpty)
		b.depth++
		if b.payloads[c.tag] {
			b.out = appendU32(append(b.out, opGlobalGet), b.payload)
		}
	}
	if c.ref {
		b.out = b.packed(b.out)
	}
	b.out = appendU32(append(b.out, opI32Const, 0, opGlobalSet), b.pending)
	b.out = appendU32(append(b.out, opBr), b.label(c.place))
	if !c.all {
		b.out = append(b.out, opEnd)
		b.depth--
	}
}

// appendZero pushes the zero of a value type.
func appendZero(b []byte, t byte) []byte {
	switch t {
	case typeI32:
		return append(b, opI32Const, 0)
	case typeI64:
		return append(b, opI64Const, 0)
	case typeF32:
		return append(b, opF32Const, 0, 0, 0, 0)
	case typeF64:
		return append(b, opF64Const, 0, 0, 0, 0, 0, 0, 0, 0)
	case typeV128:
		return append(append(b, opSIMD, opV128Const), make([]byte, 16)...)
	}
	return append(b, opRefNull, t) // what is left are references
}
