// Package linear is the memory of a WebAssembly guest: an address range
// reserved for the largest size that it may ever have, of which the system
// provides only what is touched. It never moves, and it goes back to the system
// as soon as the guest ends.
//
// A memory can begin as a private copy of an image, the memory of a guest that
// was saved. Where the system can map files, the copy is made page by page as
// the guest writes, so that many guests share what none of them changes.
package linear

import (
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"
)

// Page is the unit in which WebAssembly memory grows, in bytes.
const Page = 65536

// Slack is how many bytes a guest can reach beyond its memory. They are its own,
// and there only so that code may look at an address before it is certain that
// it will (wasmpass.Fold). wazero tells the guest whole pages.
const Slack = 4096

// most is the largest memory. wazero compares addresses with 32 bits of its size
// and the slack.
const most = 1<<32 - Page

// Memory is the linear memory of one guest. It implements both interfaces of
// wazero's allocator, for one memory.
type Memory struct {
	region []byte
	image  int64        // bytes of the image that it began with
	limit  atomic.Int64 // bytes; growth beyond it fails
	size   atomic.Int64 // bytes
}

// New reserves a memory of at most limit bytes. With an image, it holds a
// private copy of that; the guest must have grown to the image's size before
// it looks.
func New(limit int64, im *Image) (*Memory, error) {
	limit = min(limit/Page*Page, most)
	region, err := reserve(int(limit) + Slack)
	if err != nil {
		return nil, err
	}
	m := &Memory{region: region}
	m.limit.Store(limit)
	if im != nil {
		if err := im.copyTo(region); err != nil {
			return nil, err
		}
		m.image = im.size
	}
	return m, nil
}

// Restrict sets the limit for what comes next. It can't take back what the
// guest has, nor go beyond what was reserved.
func (m *Memory) Restrict(limit int64) { m.limit.Store(min(limit, int64(len(m.region)-Slack))) }

// Size is what the guest has, in bytes.
func (m *Memory) Size() int64 { return m.size.Load() }

// NearlyFull reports whether an allocation of some size will likely have failed.
func (m *Memory) NearlyFull() bool { return m.size.Load() > m.limit.Load()/10*9 }

// Allocate implements experimental.MemoryAllocator.
func (m *Memory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate implements experimental.LinearMemory. A nil makes the guest's
// memory.grow fail.
func (m *Memory) Reallocate(size uint64) []byte {
	if size > uint64(m.limit.Load()) {
		return nil
	}
	if old := m.size.Swap(int64(size)); old > 0 && old >= m.image {
		clear(m.region[old : old+Slack]) // what grows is zero, whatever was written beyond the end
	}
	return m.region[: size+Slack : size+Slack]
}

// Free implements experimental.LinearMemory. wazero calls it while the guest's
// last host call is still on the stack, so the memory is given back later, by
// Release.
func (m *Memory) Free() {}
