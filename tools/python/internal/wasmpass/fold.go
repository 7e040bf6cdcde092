package wasmpass

import "fmt"

// Fold returns the module with its addresses spelt so that an engine that
// checks each access against the size of the memory needs fewer checks. wazero
// leaves a check out where one of the same value, the base, has covered as
// much before. Compilers of C give it little to find:
//
//   - A field's address is often computed, as local + constant. The constant goes
//     into the offset of the access, and the local becomes the base.
//   - A variable's address is a constant, a new value each time. Such an access
//     gets a local that is always zero as its base.
//   - Fields are not accessed in the order of their offsets. Where several will
//     be for certain, the highest is checked first.
//
// The first is exact unless local + constant exceeds 2^32: then the original
// wraps to an address below the constant, and the result traps. So a constant
// must be small, and lower than any address that the module gives to data: no
// pointer of C has an object there. The second is exact, and the third traps a
// few instructions earlier than the original would.
//
// Slack is how many bytes the engine lets the module reach beyond the end of its
// memory. Then what is not certain to be accessed may be checked first as well:
// the furthest of all fields that the function looks at through the same value.
func Fold(module []byte, slack uint32) ([]byte, error) {
	o, err := read(module)
	if err == nil {
		err = (&folding{outline: o, slack: uint64(slack)}).rewrite()
	}
	if err != nil {
		return nil, fmt.Errorf("fold addresses: %w", err)
	}
	return join(o.secs), nil
}

// maxFolded bounds the constants that go into offsets.
const maxFolded = 1 << 16

// folding holds what the steps of one rewrite learn from each other.
type folding struct {
	*outline
	slack   uint64 // bytes beyond the memory that may be accessed
	limit   uint64 // constants below it may be folded
	minimum uint64 // bytes of memory that are there from the beginning
}

func (f *folding) rewrite() error {
	if err := f.readMemory(); err != nil {
		return err
	}
	if err := f.readData(); err != nil {
		return err
	}
	b := bodyFolding{folding: f}
	return f.rewriteCode(func(out []byte, index uint32, body []byte) ([]byte, error) {
		return b.rewrite(out, body, len(f.types[f.functions[index]].params))
	})
}

// readMemory finds the size of the first memory if the module has it itself.
func (f *folding) readMemory() error {
	if f.memories > 0 {
		return nil
	}
	r := reader{b: f.secs[secMemory]}
	if r.count() > 0 && r.byte()&4 == 0 { // addresses of 32 bits
		f.minimum = r.leb(64) << 16
	}
	return r.err
}

// readData finds the lowest address of data.
func (f *folding) readData() error {
	f.limit = maxFolded
	r := reader{b: f.secs[secData]}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		kind, address := r.u32(), uint64(0) // of a passive segment it is not known
		if kind == 0 {
			if r.byte() != opI32Const {
				f.limit = 0
				break
			}
			address = uint64(uint32(r.s32()))
			r.byte()
		} else if kind > 1 {
			f.limit = 0
			break
		}
		if len(r.bytes(r.u32())) > 0 {
			f.limit = min(f.limit, address)
		}
	}
	return r.err
}
