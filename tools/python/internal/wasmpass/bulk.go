package wasmpass

import "bytes"

// piece is how many bytes are copied or filled between two calls of the host.
const piece = 1 << 20

// The parameters of the functions below, as those of the instructions.
const (
	to     = 0
	source = 1 // of a fill: the byte
	length = 2
)

// bulk returns the call that takes an instruction's place, if it is one of two.
func (m *meter) bulk(instruction []byte) []byte {
	switch {
	case bytes.Equal(instruction, []byte{opBulk, memoryCopy, 0, 0}):
		return appendU32([]byte{opCall}, m.copy)
	case bytes.Equal(instruction, []byte{opBulk, memoryFill, 0}):
		return appendU32([]byte{opCall}, m.fill)
	}
	return nil
}

func (m *meter) fillBody() []byte {
	all := []byte{opLocalGet, to, opLocalGet, source, opLocalGet, length, opBulk, memoryFill, 0}
	one := []byte{opLocalGet, to, opLocalGet, source}
	one = append(appendS32(append(one, opI32Const), piece), opBulk, memoryFill, 0)
	b := atOnce([]byte{0}, all, to)
	b = m.pieces(b, one, change(to, opI32Add), change(length, opI32Sub))
	return append(append(b, all...), opEnd)
}

// copyBody goes upwards or downwards, so that a piece that overlaps another is
// read before it is written.
func (m *meter) copyBody() []byte {
	all := []byte{opLocalGet, to, opLocalGet, source, opLocalGet, length, opBulk, memoryCopy, 0, 0}
	first := []byte{opLocalGet, to, opLocalGet, source}
	first = append(appendS32(append(first, opI32Const), piece), opBulk, memoryCopy, 0, 0)
	last := []byte{
		opLocalGet, to, opLocalGet, length, opI32Add,
		opLocalGet, source, opLocalGet, length, opI32Add, opI32Const,
	}
	last = append(appendS32(last, piece), opBulk, memoryCopy, 0, 0)
	b := atOnce([]byte{0}, all, to, source)
	b = append(b, opLocalGet, to, opLocalGet, source, opI32LeU, opIf, blockEmpty)
	b = m.pieces(b, first, change(to, opI32Add), change(source, opI32Add), change(length, opI32Sub))
	b = append(b, opElse)
	b = m.pieces(b, change(length, opI32Sub), last)
	b = append(b, opEnd)
	return append(append(b, all...), opEnd)
}

// atOnce does all in one step and returns, if it is no more than a piece; and
// if it leads beyond the memory, where it must trap before anything is written.
func atOnce(b, all []byte, ranges ...byte) []byte {
	b = append(b, opLocalGet, length, opI32Const)
	b = append(appendS32(b, piece), opI32LeU)
	for _, at := range ranges {
		b = append(b, opLocalGet, at, opI64ExtendI32U, opLocalGet, length, opI64ExtendI32U, opI64Add)
		b = append(b, opMemorySize, 0, opI64ExtendI32U, opI64Const, 16, opI64Shl, opI64GtU, opI32Or)
	}
	b = append(append(b, opIf, blockEmpty), all...)
	return append(b, opReturn, opEnd)
}

// pieces repeats steps, and calls the host after each turn, until no more than
// a piece is left.
func (m *meter) pieces(b []byte, steps ...[]byte) []byte {
	b = append(b, opLoop, blockEmpty)
	for _, s := range steps {
		b = append(b, s...)
	}
	b = appendU32(append(b, opCall), m.tick)
	b = append(appendS32(append(b, opLocalGet, length, opI32Const), piece), opI32GtU)
	return append(b, opBrIf, 0, opEnd)
}

// change adds a piece to a local, or takes it away.
func change(local, op byte) []byte {
	b := appendS32([]byte{opLocalGet, local, opI32Const}, piece)
	return append(b, op, opLocalSet, local)
}
