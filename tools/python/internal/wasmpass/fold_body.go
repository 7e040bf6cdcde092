package wasmpass

import (
	"fmt"
	"slices"
)

// item is an instruction of a body, and what becomes of it.
type item struct {
	from, to int32
	edit     edit
	local    uint32 // for the edit
	copy     uint32 // local that gets the value as well; 0: none
	access   int32  // place of what it does with memory; -1: nothing
	join     bool   // whether it is the end of a block or an if
	settle   bool   // whether the local that it gets is set to itself
}

type edit byte

const (
	keep edit = iota
	drop
	asGet // local.get of local
	asSet // local.set of the same local as before, then local.get of local
)

// access is what an instruction does with memory.
type access struct {
	code   int    // length of the opcode
	align  uint32 // its exponent
	offset uint64
	size   uint64
	check  uint64 // bytes from the base on to check first; 0: none
	base   uint32 // local of the check
	group  int32  // one more than the place of its group; 0: none
}

// group is all accesses through one value of a local.
type group struct {
	local       uint32
	first, last int32 // items
	end         uint64
}

// operand is what is known of a value on the stack: that it is a constant, or
// something plus a constant.
type operand struct {
	kind    kind
	base    uint32 // the local
	version int    // of the local, when it was read
	value   uint64
	items   [3]int // the instructions that made it
	n       int    // how many; 0: they can't be replaced
	edit    edit   // how the first is replaced, the others being dropped
}

type kind byte

const (
	unknown kind = iota
	constant
	sum   // of a local and a constant
	other // sum of what is not known and a constant
)

// fact is that a local equals another plus a constant, as long as neither is
// set again.
type fact struct {
	local, base               uint32
	localVersion, baseVersion int
	value                     uint64
}

// bodyFolding folds one body. A run is the accesses through a local that are
// made for certain once the first is made, since nothing leads away between
// them; it is known by the first and the furthest byte.
type bodyFolding struct {
	*folding
	body     []byte
	items    []item
	accesses []access
	stack    []operand
	facts    []fact
	locals   []local
	zero     uint32 // a new local that nothing sets
	blocks   []openBlock
	floor    int // facts before it do not hold
	epoch    int // of the runs that still go on
	joins    int // ends of blocks so far
	statics  []static
	groups   []group
	open     []int // groups that go on where the code is being written
}

// local is what is known of a local variable.
type local struct {
	version int // how often it was set
	fact    int // one more than the place of the last fact about it
	run     series
	group   int32 // one more than the place of the group of that version; 0: none
	settled int   // joins when it was last set to itself
}

// openBlock is a block, a loop or an if whose end is to come.
type openBlock struct {
	facts int // how many there were at its start
	loop  bool
}

type series struct {
	first          int // access
	epoch, version int
}

// static is an access to a constant address.
type static struct{ address, access int }

func (b *bodyFolding) rewrite(out, body []byte, params int) ([]byte, error) {
	r := reader{b: body}
	groups := r.u32()
	start := r.pos
	locals := uint64(params)
	for n := groups; n > 0 && r.err == nil; n-- {
		locals += uint64(r.u32())
		r.valueType()
	}
	if locals > 1<<16 {
		r.fail(errEnd)
	}
	if r.err != nil {
		return nil, r.err
	}
	declared := r.pos
	b.body, b.zero = body, uint32(locals)
	b.items, b.accesses, b.stack, b.facts = b.items[:0], b.accesses[:0], b.stack[:0], b.facts[:0]
	b.blocks, b.statics, b.locals, b.groups = b.blocks[:0], b.statics[:0], b.locals[:0], b.groups[:0]
	b.floor, b.epoch, b.joins = 0, 1, 0
	for range locals + 1 {
		b.locals = append(b.locals, local{})
	}
	for r.err == nil && r.pos < len(body) {
		at := r.pos
		if err := b.instruction(&r); err != nil {
			return nil, fmt.Errorf("offset %d: %w", at, err)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	b.foldStatics()
	b.widen()
	out = appendU32(out, groups+1)
	out = append(out, body[start:declared]...)
	out = append(appendU32(out, uint32(len(b.locals))-uint32(locals)), typeI32)
	return b.write(out), nil
}

// foldStatics gives the accesses to constant addresses the zero local as their
// base, if there are several. The first of each run checks the furthest of all:
// they all lie in memory that is there from the beginning.
func (b *bodyFolding) foldStatics() {
	if len(b.statics) < 2 {
		for _, s := range b.statics {
			b.accesses[s.access].check = 0
		}
		return
	}
	var furthest uint64
	for _, s := range b.statics {
		address, a := &b.items[s.address], &b.accesses[s.access]
		r := reader{b: b.body[address.from+1 : address.to]}
		a.offset += uint64(uint32(r.s32()))
		address.edit, address.local = asGet, b.zero
		furthest = max(furthest, a.offset+a.size)
	}
	for _, s := range b.statics {
		if a := &b.accesses[s.access]; a.check > 0 {
			a.check = furthest
		}
	}
}

func (b *bodyFolding) instruction(r *reader) error {
	at := len(b.items)
	it := item{from: int32(r.pos), access: -1}
	op := r.byte()
	if a, loads, ok := accessOf(op, r); ok {
		it.access, it.to = int32(len(b.accesses)), int32(r.pos)
		b.items, b.accesses = append(b.items, it), append(b.accesses, a)
		if !loads {
			b.pop()
		}
		b.address(b.pop(), len(b.accesses)-1)
		if loads {
			b.push(operand{})
		}
		return nil
	}
	r.pos = int(it.from) + 1
	if err := r.immediates(op); err != nil || r.err != nil {
		return err
	}
	it.to = int32(r.pos)
	b.items = append(b.items, it)
	imm := reader{b: b.body[it.from+1 : it.to]}
	switch {
	case op == opLocalGet, op == opLocalSet, op == opLocalTee:
		local := imm.u32()
		if local >= b.zero {
			return fmt.Errorf("local %d of %d", local, b.zero)
		}
		b.variable(op, local, at)
	case op == opI32Const:
		b.push(operand{kind: constant, value: uint64(uint32(imm.s32())), items: [3]int{at}, n: 1})
	case op == opI32Add:
		y, x := b.pop(), b.pop()
		b.push(b.add(x, y, at))
	case op == opTry, op == opTryTable, op == opCatch, op == opCatchAll, op == opDelegate:
		return fmt.Errorf("opcode 0x%02x: exceptions must be lowered first", op)
	case op == opBlock, op == opIf, op == opLoop:
		b.stack = b.stack[:0]
		if op == opLoop { // what its other turns find is not known yet
			b.floor = len(b.facts)
		}
		if op != opBlock {
			b.epoch++
		}
		b.blocks = append(b.blocks, openBlock{len(b.facts), op == opLoop})
	case op == opElse, op == opEnd:
		b.stack = b.stack[:0]
		if n := len(b.blocks) - 1; n >= 0 {
			b.facts = b.facts[:b.blocks[n].facts]
			b.floor = min(b.floor, len(b.facts))
			if op == opEnd {
				if !b.blocks[n].loop {
					b.items[at].join = true
					b.joins++
				}
				b.blocks = b.blocks[:n]
			}
		}
		if op == opElse {
			b.epoch++
		}
	case op == opCall, op == opCallIndirect:
		b.epoch++
		typ := imm.u32()
		if op == opCall {
			if int(typ) >= len(b.functions) {
				return fmt.Errorf("function %d of %d", typ, len(b.functions))
			}
			typ = b.functions[typ]
		} else {
			b.pop()
		}
		if int(typ) >= len(b.types) {
			return fmt.Errorf("type %d of %d", typ, len(b.types))
		}
		b.popN(len(b.types[typ].params))
		for range b.types[typ].results {
			b.push(operand{})
		}
	default:
		pops, pushes, ok := effect(op, &imm)
		if !ok { // a branch, or something rare
			b.epoch++
			b.stack = b.stack[:0]
			break
		}
		b.popN(pops)
		for range pushes {
			b.push(operand{})
		}
	}
	return nil
}

// variable follows local.get, local.set and local.tee.
func (b *bodyFolding) variable(op byte, index uint32, at int) {
	v := &b.locals[index]
	here := operand{kind: sum, base: index, version: v.version, items: [3]int{at}, n: 1}
	if op == opLocalGet {
		here.edit = asGet
		if f := b.fact(index); f != nil {
			here.base, here.version, here.value = f.base, f.baseVersion, f.value
		}
		b.push(here)
		return
	}
	value := b.pop()
	known := value.kind == sum && value.version == b.locals[value.base].version
	if known && value.base == index {
		// The local is moved on. What it was stays in a new one.
		if known = value.n == 3 && b.gets(value.items[0], index) && len(b.locals) < 1<<16; known {
			value.base, value.version = uint32(len(b.locals)), 0
			b.locals = append(b.locals, local{run: v.run})
			v = &b.locals[index]
			if r := &b.locals[value.base].run; r.version == v.version {
				r.version = 0
			} else {
				r.epoch = 0
			}
			b.items[value.items[0]].copy = value.base
		}
	}
	v.version++
	v.group = 0
	if known {
		b.facts = append(b.facts, fact{index, value.base, v.version, value.version, value.value})
		v.fact = len(b.facts)
	}
	if op == opLocalTee {
		if here.version++; known {
			here = operand{kind: sum, base: value.base, version: value.version, value: value.value, items: [3]int{at}, n: 1, edit: asSet}
		}
		b.push(here)
	}
}

// gets reports whether an instruction is the local.get of a local.
func (b *bodyFolding) gets(at int, index uint32) bool {
	code := b.body[b.items[at].from:b.items[at].to]
	r := reader{b: code[1:]}
	return code[0] == opLocalGet && r.u32() == index
}

// fact returns what is known of a local; nil if nothing is.
func (b *bodyFolding) fact(index uint32) *fact {
	i := b.locals[index].fact - 1
	if i < b.floor || i >= len(b.facts) {
		return nil
	}
	f := &b.facts[i]
	if f.local != index || f.localVersion != b.locals[index].version || f.baseVersion != b.locals[f.base].version {
		return nil
	}
	return f
}

// add is the sum of two operands, if one is a small constant.
func (b *bodyFolding) add(x, y operand, at int) operand {
	if x.kind == constant {
		x, y = y, x
	}
	switch {
	case y.kind != constant || y.n != 1:
		return operand{}
	case x.kind == sum && x.n == 1 && x.value+y.value < b.limit:
		x.value += y.value
		x.items, x.n = [3]int{x.items[0], y.items[0], at}, 3
		return x
	case y.value < b.limit:
		return operand{kind: other, value: y.value, items: [3]int{y.items[0], at}, n: 2, edit: drop}
	}
	return operand{}
}

// address folds the address of an access into it.
func (b *bodyFolding) address(o operand, at int) {
	a := &b.accesses[at]
	switch {
	case o.kind == constant && o.value+a.offset+a.size <= b.minimum:
		b.statics = append(b.statics, static{o.items[0], at})
		b.note(b.zero, at)
	case (o.kind == sum || o.kind == other) && a.offset+o.value < 1<<32:
		if o.value > 0 {
			b.items[o.items[0]].edit, b.items[o.items[0]].local = o.edit, o.base
			for _, i := range o.items[1:o.n] {
				b.items[i].edit = drop
			}
			a.offset += o.value
		}
		if o.kind == sum && o.version == b.locals[o.base].version {
			b.note(o.base, at)
			b.settle(o)
		}
	}
}

// settle has the local of an address set to itself if it has not been, since ways
// met.
func (b *bodyFolding) settle(o operand) {
	v := &b.locals[o.base]
	if v.settled < b.joins && (b.items[o.items[0]].edit == asGet || b.gets(o.items[0], o.base)) {
		v.settled = b.joins
		b.items[o.items[0]].settle = true
	}
}

// note adds an access to the run of its base, or begins one.
func (b *bodyFolding) note(base uint32, at int) {
	r, a, item := &b.locals[base].run, &b.accesses[at], int32(len(b.items)-1)
	if r.epoch != b.epoch || r.version != b.locals[base].version {
		*r = series{at, b.epoch, b.locals[base].version}
		a.base = base
	}
	end := a.offset + a.size
	if end >= 1<<32 {
		return
	}
	first := &b.accesses[r.first]
	first.check = max(first.check, end)
	if v := &b.locals[base]; b.slack > 0 && base != b.zero {
		if v.group == 0 {
			b.groups = append(b.groups, group{local: base, first: item})
			v.group = int32(len(b.groups))
		}
		a.group = v.group
		b.groups[a.group-1].last = item
	}
}

// widen has what a function accesses through one value checked at once, as far
// as that leads no more than the slack beyond what is accessed for certain.
func (b *bodyFolding) widen() {
	for i := len(b.accesses) - 1; i >= 0; i-- {
		a := &b.accesses[i]
		if a.group == 0 {
			continue
		}
		g, end := &b.groups[a.group-1], a.offset+a.size
		g.end = max(g.end, end)
		if a.check > 0 {
			a.check = max(a.check, min(g.end, end+b.slack))
		}
	}
}

func (b *bodyFolding) push(o operand) { b.stack = append(b.stack, o) }

// pop takes what is on top, which is not known where the stack was left.
func (b *bodyFolding) pop() (o operand) {
	if n := len(b.stack) - 1; n >= 0 {
		o, b.stack = b.stack[n], b.stack[:n]
	}
	return o
}

func (b *bodyFolding) popN(n int) { b.stack = b.stack[:max(0, len(b.stack)-n)] }

// write appends what has become of the body.
//
// wazero finds out that a local is the same whichever way a block was left only
// for the first time that it is read behind the end: the second time it counts as
// another. So what is accessed further on is set to itself there.
func (b *bodyFolding) write(out []byte) []byte {
	begun := 0
	b.open = b.open[:0]
	for i := range b.items {
		for ; begun < len(b.groups) && int(b.groups[begun].first) < i; begun++ {
			b.open = append(b.open, begun)
		}
		it := &b.items[i]
		code := b.body[it.from:it.to]
		switch {
		case it.edit == drop:
			continue
		case it.edit == asGet:
			out = appendU32(append(out, opLocalGet), it.local)
		case it.edit == asSet:
			out = append(append(out, opLocalSet), code[1:]...)
			out = appendU32(append(out, opLocalGet), it.local)
		case it.access >= 0:
			a := &b.accesses[it.access]
			if a.check > a.offset+a.size {
				out = appendU32(append(out, opLocalGet), a.base)
				out = appendU32(append(out, opI32Load8U, 0), uint32(a.check-1))
				out = append(out, opDrop)
			}
			out = appendU32(append(out, code[:a.code]...), a.align)
			out = appendU32(out, uint32(a.offset))
		default:
			out = append(out, code...)
		}
		if it.copy > 0 {
			out = appendU32(append(out, opLocalTee), it.copy)
		}
		switch {
		case it.settle && it.edit == asGet:
			out = appendU32(append(out, opLocalTee), it.local)
		case it.settle:
			out = append(append(out, opLocalTee), code[1:]...)
		case it.join:
			b.open = slices.DeleteFunc(b.open, func(g int) bool { return int(b.groups[g].last) < i })
			for _, g := range b.open {
				out = appendU32(append(out, opLocalGet), b.groups[g].local)
				out = appendU32(append(out, opLocalSet), b.groups[g].local)
			}
		}
	}
	return out
}

// accessOf reads an access to the first memory, whether it pushes a value, and
// reports whether the instruction is one that is followed.
func accessOf(op byte, r *reader) (a access, loads, ok bool) {
	from := r.pos - 1
	switch {
	case op >= 0x28 && op <= 0x3e:
		a.size, loads = uint64(sizes[op-0x28]), op <= 0x35
	case op == opSIMD:
		switch sub := r.u32(); {
		case sub <= 11:
			a.size, loads = uint64(vectorSizes[sub]), sub < 11
		case sub == 92 || sub == 93:
			a.size, loads = 4<<(sub-92), true
		default:
			return a, false, false
		}
	default:
		return a, false, false
	}
	a.code = r.pos - from
	a.align, a.offset = r.u32(), r.leb(64)
	return a, loads, r.err == nil && a.align&0x40 == 0 && a.offset < 1<<32
}

// The bytes that accesses reach: those of opcodes 0x28 to 0x3e, and of SIMD's 0 to 11.
var (
	sizes       = [...]byte{4, 8, 4, 8, 1, 1, 2, 2, 1, 1, 2, 2, 4, 4, 4, 8, 4, 8, 1, 2, 1, 2, 4}
	vectorSizes = [...]byte{16, 8, 8, 8, 8, 8, 8, 1, 2, 4, 8, 16}
)

// effect is how many values an instruction takes and leaves, if it does no more
// than that and that is known here.
func effect(op byte, imm *reader) (pops, pushes int, ok bool) {
	switch {
	case op == 0x01: // nop
		return 0, 0, true
	case op == opDrop, op == opGlobalSet:
		return 1, 0, true
	case op == 0x1b, op == opSelectTyped:
		return 3, 1, true
	case op == opGlobalGet, op == opMemorySize, op == opI64Const, op == opF32Const, op == opF64Const:
		return 0, 1, true
	case op == opI32Eqz, op == opI64Eqz, op >= 0x67 && op <= 0x69, op >= 0x79 && op <= 0x7b,
		op >= 0x8b && op <= 0x91, op >= 0x99 && op <= 0x9f, op >= 0xa7 && op <= 0xc4:
		return 1, 1, true
	case op > opI32Eqz && op <= 0xa6:
		return 2, 1, true
	case op == opBulk && imm.u32() <= 7: // conversions
		return 1, 1, true
	case op == opSIMD && imm.u32() == opV128Const:
		return 0, 1, true
	}
	return 0, 0, false
}
