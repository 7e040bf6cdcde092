//go:build cgo && (amd64 || arm64)

package vk

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/vulkan-go/vulkan"
)

// Place says where a buffer lives.
type Place int

const (
	// Local is the device's own memory. It is mapped where device and host
	// share their memory, and on software devices.
	Local Place = iota
	// Upload is host memory that the device reads, mapped.
	Upload
	// Readback is host memory that the device writes and the host reads fast,
	// mapped.
	Readback
)

// Buffer is memory that kernels read and write.
type Buffer struct {
	object
	Size   int
	buffer vulkan.Buffer
	memory vulkan.DeviceMemory
	taken  int64 // bytes of it
	mapped []byte
}

const usage = C.uint32_t(vulkan.BufferUsageStorageBufferBit) | C.uint32_t(vulkan.BufferUsageUniformTexelBufferBit) |
	C.uint32_t(vulkan.BufferUsageTransferSrcBit) | C.uint32_t(vulkan.BufferUsageTransferDstBit)

// NewBuffer makes a buffer of that many bytes. Its content is undefined.
func (d *Device) NewBuffer(size int, place Place) (*Buffer, error) {
	if size < 1 {
		return nil, fmt.Errorf("vulkan: buffer of %d bytes", size)
	}
	b := &Buffer{Size: size}
	doing := fmt.Sprintf("make buffer of %d bytes", size)
	if uint64(size) > d.MaxAllocation {
		return nil, fmt.Errorf("vulkan: %s: %w: the device allocates at most %d at once", doing, ErrOutOfMemory, d.MaxAllocation)
	}
	var buffer vulkan.Buffer
	var need C.uint64_t
	var types C.uint32_t
	err := check(doing, C.vk_create_buffer(raw(d.device), C.uint64_t(size), usage, out(&buffer), &need, &types))
	if err != nil {
		return nil, err
	}
	b.buffer = buffer
	var flags vulkan.MemoryPropertyFlagBits
	b.memory, flags, err = d.allocate(doing, need, uint32(types), place)
	if err == nil {
		b.taken = int64(need)
		d.allocated.Add(b.taken)
		err = check(doing, vulkan.BindBufferMemory(d.device, b.buffer, b.memory, 0))
	}
	if err == nil && flags&mappable == mappable {
		err = b.mapMemory(d, doing)
	}
	if err != nil {
		b.free(d)
		return nil, err
	}
	allot(int64(need))
	d.adopt(&b.object, func() {
		b.free(d)
		allot(-int64(need))
	})
	return b, nil
}

func (b *Buffer) free(d *Device) {
	if b.mapped != nil {
		vulkan.UnmapMemory(d.device, b.memory)
	}
	vulkan.DestroyBuffer(d.device, b.buffer, nil)
	vulkan.FreeMemory(d.device, b.memory, nil)
	d.allocated.Add(-b.taken)
	b.mapped, b.memory, b.buffer = nil, nil, nil
}

func (b *Buffer) mapMemory(d *Device, doing string) error {
	if err := d.Reach(AtMap); err != nil {
		return err
	}
	var p unsafe.Pointer
	err := check(doing, vulkan.MapMemory(d.device, b.memory, 0, vulkan.DeviceSize(vulkan.WholeSize), 0, &p))
	if err == nil {
		b.mapped = unsafe.Slice((*byte)(p), b.Size)
	}
	return err
}

const (
	local    = vulkan.MemoryPropertyDeviceLocalBit
	coherent = vulkan.MemoryPropertyHostCoherentBit
	cached   = vulkan.MemoryPropertyHostCachedBit
	mappable = vulkan.MemoryPropertyHostVisibleBit | coherent
)

// allocate takes memory of the type that suits the place best, or of the next
// where that one's heap is full.
func (d *Device) allocate(doing string, size C.uint64_t, types uint32, place Place) (vulkan.DeviceMemory, vulkan.MemoryPropertyFlagBits, error) {
	if err := d.Reach(AtAllocate); err != nil {
		return nil, 0, err
	}
	err := fmt.Errorf("vulkan: %s: the device has no memory for it", doing)
	for _, wish := range d.wishes(place) {
		for i, t := range d.raw._type[:d.raw.types] {
			flags := vulkan.MemoryPropertyFlagBits(t.flags)
			if types>>i&1 == 0 || flags&wish != wish || place == Local && d.Kind == Discrete && flags&mappable == mappable {
				continue
			}
			var m vulkan.DeviceMemory
			err = check(doing, C.vk_allocate(raw(d.device), size, C.uint32_t(i), out(&m)))
			if !errors.Is(err, ErrOutOfMemory) {
				return m, flags, d.note(err)
			}
		}
	}
	return nil, 0, err
}

// wishes lists what memory for a place should be, best first.
func (d *Device) wishes(place Place) []vulkan.MemoryPropertyFlagBits {
	switch {
	case place == Upload:
		return []vulkan.MemoryPropertyFlagBits{mappable}
	case place == Readback:
		return []vulkan.MemoryPropertyFlagBits{mappable | cached, mappable}
	case d.Kind == Discrete:
		return []vulkan.MemoryPropertyFlagBits{local, 0}
	default:
		return []vulkan.MemoryPropertyFlagBits{local | mappable, local, 0}
	}
}

// Bytes returns the buffer's memory, or nil where the host cannot see it. It is
// valid until the buffer is closed. The host and the device must take turns:
// what the host wrote is seen by what is submitted later, what the device wrote
// is seen after [Commands.Wait] if the recording ends with [Commands.ToHost].
func (b *Buffer) Bytes() []byte { return b.mapped }

// Float32s and Uint32s are Bytes as 32-bit numbers.
func (b *Buffer) Float32s() []float32 { return view[float32](b.mapped) }

// Uint32s is Bytes as 32-bit numbers.
func (b *Buffer) Uint32s() []uint32 { return view[uint32](b.mapped) }

func view[T float32 | uint32](b []byte) []T {
	if len(b) < 4 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}
