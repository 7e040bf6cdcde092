package wasmpass

import "fmt"

// A loop becomes two:
//
//	loop $refill (its type)
//	  if the budget is spent: call the host
//	  loop (its type)
//	    count down; if the budget is spent: br $refill
//	    ...
//	  end
//	end
//
// The call stands outside of the loop that is run, so that the engine can keep
// the loop's values in registers that the call would take.
//
// Every branch back to a loop of the original, by br, br_if or br_table, goes to
// the header of the inner one, behind which each turn is counted.
//
// wazero compiles a comparison and the branch on it as one where the branch is
// the only way to its target. So each conditional branch after a comparison gets
// a target of its own, which leads on to the original's. For those out of a
// block, they stand before its end:
//
//	block $b
//	  block $exit
//	    ... br_if $exit ...
//	    br $b
//	  end
//	end
//
// Labels change: metering keeps where the branches to a block of the original
// go now; places are counted from the outside, 0 being the function itself.
type metering struct {
	*meter
	r        reader
	out      []byte
	frames   []meteredBlock
	exits    []int // of each block, in the order of their beginnings
	begun    int   // blocks that have begun
	compared bool  // whether the last instruction was a comparison
	depth    int   // blocks that are open in out
}

// meteredBlock is an open block of the original.
type meteredBlock struct {
	op    byte
	place int  // that a branch to it goes to
	bare  bool // whether a branch to it carries no values
	exits int  // blocks put into it
	used  int  // of those
}

func (m *meter) body(out, body []byte) ([]byte, error) {
	exits, err := m.countExits(body)
	if err != nil {
		return nil, err
	}
	b := metering{meter: m, r: reader{b: body}, out: out, frames: []meteredBlock{{}}, exits: exits, depth: 1}
	b.r.skipLocals()
	b.out = append(b.out, body[:b.r.pos]...)
	for b.r.err == nil && b.r.pos < len(body) {
		at := b.r.pos
		if len(b.frames) == 0 {
			return nil, fmt.Errorf("offset %d: code behind the end", at)
		}
		if err := b.instruction(); err != nil {
			return nil, fmt.Errorf("offset %d: %w", at, err)
		}
	}
	if b.r.err == nil && len(b.frames) != 0 {
		return nil, errNoEnd
	}
	return b.out, b.r.err
}

// countExits counts the branches that get a target of their own, by the block
// that they go to.
func (m *meter) countExits(body []byte) ([]int, error) {
	var exits, open []int
	compared := false
	r := reader{b: body}
	r.skipLocals()
	for r.err == nil && r.pos < len(body) {
		from := r.pos
		op := r.byte()
		if err := r.immediates(op); err != nil {
			return nil, fmt.Errorf("offset %d: %w", from, err)
		}
		switch op {
		case opBlock, opLoop, opIf:
			open = append(open, len(exits))
			exits = append(exits, 0)
		case opEnd:
			open = open[:max(0, len(open)-1)]
		case opBrIf:
			label := reader{b: body[from+1 : r.pos]}
			if n := int64(len(open)) - 1 - int64(label.u32()); compared && n >= 0 {
				exits[open[n]]++
			}
		}
		compared = compares(op)
	}
	return exits, r.err
}

func compares(op byte) bool { return op >= opI32Eqz && op <= opF64Ge }

func (b *metering) instruction() error {
	r, from := &b.r, b.r.pos
	op := r.byte()
	compared := b.compared
	b.compared = compares(op)
	switch op {
	case opBlock, opIf, opLoop:
		r.leb(33)
		b.begin(op, r.b[from:r.pos])
		return nil
	case opEnd:
		b.end()
		return nil
	case opBrIf:
		return b.branchIf(compared)
	case opBr, opBrOnNull, opBrOnNonNull:
		b.out = append(b.out, op)
		return b.labels(1)
	case opBrTable:
		n := r.u32()
		if uint64(n) > uint64(len(r.b)) {
			return errEnd
		}
		b.out = appendU32(append(b.out, op), n)
		return b.labels(n + 1)
	case opTry, opTryTable, opCatch, opCatchAll, opDelegate, opRethrow:
		return fmt.Errorf("opcode 0x%02x: exceptions must be lowered first", op)
	}
	if err := r.immediates(op); err != nil || r.err != nil {
		return err
	}
	if instead := b.bulk(r.b[from:r.pos]); instead != nil {
		b.out = append(b.out, instead...)
		return nil
	}
	b.out = append(b.out, r.b[from:r.pos]...)
	return nil
}

// begin opens a block. Its header is its opcode and its type.
func (b *metering) begin(op byte, header []byte) {
	f := meteredBlock{op: op, bare: b.carriesNothing(header[1:], op == opLoop)}
	b.out = append(b.out, header...)
	if op == opLoop {
		b.out = append(append(b.out, b.refill...), header...)
		b.out = append(b.out, b.count...)
		if f.bare {
			b.out = append(b.out, opIf, blockEmpty, opBr, 2, opEnd)
		} else {
			b.out = append(b.out, opBrIf, 1)
		}
		b.depth++
	}
	f.place = b.depth
	b.depth++
	if op == opBlock && f.bare {
		f.exits = b.exits[b.begun]
	}
	for range f.exits {
		b.out = append(b.out, opBlock, blockEmpty)
		b.depth++
	}
	b.begun++
	b.frames = append(b.frames, f)
}

func (b *metering) end() {
	last := len(b.frames) - 1
	f := b.frames[last]
	b.frames = b.frames[:last]
	for n := f.exits; n > 0; n-- {
		b.out = append(appendU32(append(b.out, opBr), uint32(n)), opEnd)
		b.depth--
	}
	b.out = append(b.out, opEnd)
	b.depth--
	if f.op == opLoop {
		b.out = append(b.out, opEnd)
		b.depth--
	}
}

// branchIf gives a branch on a comparison a target of its own where it can.
func (b *metering) branchIf(compared bool) error {
	at := b.r.pos
	n := int64(len(b.frames)) - 1 - int64(b.r.u32())
	if !compared || n < 0 || !b.frames[n].bare || b.frames[n].op == opIf {
		b.r.pos = at
		b.out = append(b.out, opBrIf)
		return b.labels(1)
	}
	f := &b.frames[n]
	if f.op == opBlock {
		f.used++
		b.out = appendU32(append(b.out, opBrIf), uint32(b.depth-1-f.place-f.used))
		return nil
	}
	b.out = appendU32(append(b.out, opIf, blockEmpty, opBr), uint32(b.depth-f.place))
	b.out = append(b.out, opEnd)
	return nil
}

// carriesNothing reports whether a branch to a block of this type, or to the
// head of a loop of it, carries no values.
func (b *metering) carriesNothing(t []byte, loop bool) bool {
	if len(t) == 1 && t[0]&0x40 != 0 { // nothing, or a value type: a negative number
		return loop || t[0] == blockEmpty
	}
	r := reader{b: t}
	i := r.u32()
	if r.err != nil || int(i) >= len(b.types) {
		return false
	}
	if loop {
		return len(b.types[i].params) == 0
	}
	return len(b.types[i].results) == 0
}

func (b *metering) labels(n uint32) error {
	for ; n > 0 && b.r.err == nil; n-- {
		label := b.r.u32()
		if uint64(label) >= uint64(len(b.frames)) {
			return fmt.Errorf("label %d of %d", label, len(b.frames))
		}
		place := b.frames[len(b.frames)-1-int(label)].place
		b.out = appendU32(b.out, uint32(b.depth-1-place))
	}
	return nil
}
