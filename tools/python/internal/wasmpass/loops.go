package wasmpass

import "fmt"

// A loop becomes two:
//
//	loop $refill (its type)
//	  if the budget is spent: call the host
//	  loop (its type)
//	    count down; br_if $refill when the budget is spent
//	    ...
//	  end
//	end
//
// The call stands outside of the loop that is run, so that the engine can keep
// the loop's values in registers that the call would take. Labels change:
// metering keeps where the branches to a block of the original go now; places
// are counted from the outside, 0 being the function itself.
type metering struct {
	*meter
	r      reader
	out    []byte
	places []int // of the targets of the open blocks
	loops  []bool
	depth  int // blocks that are open in out
}

func (m *meter) body(out, body []byte) ([]byte, error) {
	b := metering{meter: m, r: reader{b: body}, out: out, places: []int{0}, loops: []bool{false}, depth: 1}
	b.r.skipLocals()
	b.out = append(b.out, body[:b.r.pos]...)
	for b.r.err == nil && b.r.pos < len(body) {
		at := b.r.pos
		if len(b.places) == 0 {
			return nil, fmt.Errorf("offset %d: code behind the end", at)
		}
		if err := b.instruction(); err != nil {
			return nil, fmt.Errorf("offset %d: %w", at, err)
		}
	}
	if b.r.err == nil && len(b.places) != 0 {
		return nil, errNoEnd
	}
	return b.out, b.r.err
}

func (b *metering) instruction() error {
	r, from := &b.r, b.r.pos
	op := r.byte()
	switch op {
	case opBlock, opIf:
		r.leb(33)
		b.out = append(b.out, r.b[from:r.pos]...)
		b.enter(false)
		return nil
	case opLoop:
		r.leb(33)
		header := r.b[from:r.pos]
		b.out = append(append(b.out, header...), b.refill...)
		b.out = append(append(b.out, header...), b.count...)
		b.depth++
		b.enter(true)
		return nil
	case opEnd:
		b.out = append(b.out, opEnd)
		last := len(b.places) - 1
		b.depth--
		if b.loops[last] {
			b.out = append(b.out, opEnd)
			b.depth--
		}
		b.places, b.loops = b.places[:last], b.loops[:last]
		return nil
	case opBr, opBrIf, opBrOnNull, opBrOnNonNull:
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

func (b *metering) enter(loop bool) {
	b.places, b.loops = append(b.places, b.depth), append(b.loops, loop)
	b.depth++
}

func (b *metering) labels(n uint32) error {
	for ; n > 0 && b.r.err == nil; n-- {
		label := b.r.u32()
		if uint64(label) >= uint64(len(b.places)) {
			return fmt.Errorf("label %d of %d", label, len(b.places))
		}
		place := b.places[len(b.places)-1-int(label)]
		b.out = appendU32(b.out, uint32(b.depth-1-place))
	}
	return nil
}
