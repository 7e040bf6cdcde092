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

// KernelSpec says how to build a kernel.
type KernelSpec struct {
	Name      string // for errors
	SPIRV     []byte
	Bindings  int      // buffers, 0 and up of set 0: storage buffers, but for
	Texels    uint32   // those, a bit each, that are texel buffers of four words
	Push      int      // bytes of push constants
	Constants []uint32 // specialisation constants 0 and up; floats as their bits
	Whole     bool     // workgroups are whole subgroups, where Features.SubgroupWhole
}

// Kernel is a compiled compute pipeline with entry point main.
type Kernel struct {
	object
	Name     string
	bindings int
	texels   C.uint32_t
	sets     vulkan.DescriptorSetLayout
	layout   vulkan.PipelineLayout
	pipeline vulkan.Pipeline
}

// NewKernel compiles a kernel.
func (d *Device) NewKernel(s KernelSpec) (*Kernel, error) {
	k := &Kernel{Name: s.Name}
	if err := d.Reach(AtPipeline); err != nil {
		return nil, fmt.Errorf("kernel %s: %w", s.Name, err)
	}
	if err := d.note(k.build(d, s)); err != nil {
		k.free(d)
		return nil, fmt.Errorf("kernel %s: %w", s.Name, err)
	}
	d.adopt(&k.object, func() { k.free(d) })
	return k, nil
}

func (k *Kernel) build(d *Device, s KernelSpec) error {
	if len(s.SPIRV) == 0 || len(s.SPIRV)%4 != 0 || s.Bindings < 1 {
		return errors.New("no SPIR-V or no bindings")
	}
	k.bindings = s.Bindings
	k.texels = C.uint32_t(s.Texels)
	var sets vulkan.DescriptorSetLayout
	err := check("make set layout", C.vk_create_set_layout(raw(d.device), C.uint32_t(k.bindings), k.texels, out(&sets)))
	k.sets = sets
	if err != nil {
		return err
	}
	var layout vulkan.PipelineLayout
	err = check("make pipeline layout", C.vk_create_pipeline_layout(raw(d.device), raw(sets), C.uint32_t(s.Push), out(&layout)))
	k.layout = layout
	if err != nil {
		return err
	}
	// The code is copied for its alignment: embedded bytes may start anywhere.
	code := make([]uint32, len(s.SPIRV)/4)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&code[0])), len(s.SPIRV)), s.SPIRV)
	var constants *C.uint32_t
	if len(s.Constants) > 0 {
		constants = (*C.uint32_t)(unsafe.Pointer(&s.Constants[0]))
	}
	var whole C.int
	if s.Whole {
		whole = 1
	}
	var pipeline vulkan.Pipeline
	err = check("compile", C.vk_create_pipeline(raw(d.device), &d.raw, d.cache, raw(layout), (*C.uint32_t)(unsafe.Pointer(&code[0])),
		C.size_t(len(s.SPIRV)), constants, C.uint32_t(len(s.Constants)), whole, out(&pipeline)))
	k.pipeline = pipeline
	return err
}

func (k *Kernel) free(d *Device) {
	vulkan.DestroyPipeline(d.device, k.pipeline, nil)
	vulkan.DestroyPipelineLayout(d.device, k.layout, nil)
	vulkan.DestroyDescriptorSetLayout(d.device, k.sets, nil)
}

// Range is a part of a buffer. Size 0 means to the end.
type Range struct {
	Buffer       *Buffer
	Offset, Size int
}

// Set ties a kernel's bindings to buffers.
type Set struct {
	object
	kernel *Kernel
	pool   vulkan.DescriptorPool
	set    vulkan.DescriptorSet
	views  []C.handle // of texel buffers, 0 of others
}

// NewSet ties binding i of the kernel to ranges[i].
func (d *Device) NewSet(k *Kernel, ranges ...Range) (*Set, error) {
	n := k.bindings
	if len(ranges) != n {
		return nil, fmt.Errorf("kernel %s: %d buffers for %d bindings", k.Name, len(ranges), n)
	}
	buffers, offsets, sizes := make([]C.handle, n), make([]C.uint64_t, n), make([]C.uint64_t, n)
	for i, r := range ranges {
		if r.Size == 0 {
			r.Size = r.Buffer.Size - r.Offset
		}
		most := d.MaxBuffer
		if k.texels>>i&1 != 0 {
			most = 16 * d.MaxTexels
		}
		if r.Offset < 0 || r.Size < 1 || r.Offset+r.Size > r.Buffer.Size || uint64(r.Size) > most {
			return nil, fmt.Errorf("kernel %s: binding %d: bytes %d to %d of a buffer of %d do not fit (the device binds at most %d)",
				k.Name, i, r.Offset, r.Offset+r.Size, r.Buffer.Size, most)
		}
		buffers[i], offsets[i], sizes[i] = raw(r.Buffer.buffer), C.uint64_t(r.Offset), C.uint64_t(r.Size)
	}
	s := &Set{kernel: k, views: make([]C.handle, n)}
	var pool vulkan.DescriptorPool
	var set vulkan.DescriptorSet
	err := check("make descriptor set of "+k.Name, C.vk_create_set(raw(d.device), raw(k.sets),
		&buffers[0], &offsets[0], &sizes[0], C.uint32_t(n), k.texels, &s.views[0], out(&pool), out(&set)))
	if err != nil {
		return nil, err
	}
	s.pool, s.set = pool, set
	d.adopt(&s.object, func() { C.vk_destroy_set(raw(d.device), raw(s.pool), &s.views[0], C.uint32_t(n)) })
	return s, nil
}
