package python

import (
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"
)

// pageSize is the unit in which WebAssembly memory grows.
const pageSize = 65536

// memory is the linear memory of one interpreter: an address range reserved
// for the largest size that it may ever have, of which the system provides
// only what is touched. It never moves, and it goes back to the system as soon
// as the interpreter ends.
type memory struct {
	region []byte
	limit  atomic.Int64 // bytes; growth beyond it fails
	size   atomic.Int64 // bytes
}

func newMemory(limit int64) (*memory, error) {
	limit = limit / pageSize * pageSize
	region, err := reserve(int(limit))
	if err != nil {
		return nil, err
	}
	m := &memory{region: region}
	m.limit.Store(limit)
	return m, nil
}

// restrict sets the limit for what comes next. It can't take back what the
// guest has, nor go beyond what was reserved.
func (m *memory) restrict(limit int64) { m.limit.Store(min(limit, int64(len(m.region)))) }

// nearlyFull reports whether an allocation of some size will likely have failed.
func (m *memory) nearlyFull() bool { return m.size.Load() > m.limit.Load()/10*9 }

// Allocate implements experimental.MemoryAllocator.
func (m *memory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate implements experimental.LinearMemory. A nil makes the guest's
// memory.grow fail, which Python turns into a MemoryError.
func (m *memory) Reallocate(size uint64) []byte {
	if size > uint64(m.limit.Load()) {
		return nil
	}
	m.size.Store(int64(size))
	return m.region[:size:size]
}

// Free implements experimental.LinearMemory. wazero calls it while the guest's
// last host call is still on the stack, so the memory is given back later, by
// release.
func (m *memory) Free() {}
