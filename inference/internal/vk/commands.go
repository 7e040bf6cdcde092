//go:build cgo && (amd64 || arm64)

package vk

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/vulkan-go/vulkan"
)

// Commands is a recording that can be submitted any number of times, once at a
// time.
type Commands struct {
	object
	pool     vulkan.CommandPool
	commands vulkan.CommandBuffer
	fence    vulkan.Fence
	layout   vulkan.PipelineLayout // of the kernel bound last
	pipeline vulkan.Pipeline
	pending  bool // submitted, and not seen to end
	late     bool // pending, and waited for in vain

	dispatches int64 // recorded
}

// NewCommands makes an empty recording.
func (d *Device) NewCommands() (*Commands, error) {
	c := &Commands{}
	var fence vulkan.Fence
	if err := check("make fence", C.vk_create_fence(raw(d.device), out(&fence))); err != nil {
		return nil, err
	}
	var pool vulkan.CommandPool
	var commands vulkan.CommandBuffer
	err := check("make command buffer", C.vk_create_commands(raw(d.device), C.uint32_t(d.raw.family), out(&pool), out(&commands)))
	if err != nil {
		vulkan.DestroyFence(d.device, fence, nil)
		return nil, err
	}
	c.fence, c.pool, c.commands = fence, pool, commands
	d.adopt(&c.object, func() {
		if c.pending {
			return // nobody waited for it: better leaked than freed under the device
		}
		vulkan.DestroyCommandPool(d.device, c.pool, nil)
		vulkan.DestroyFence(d.device, c.fence, nil)
	})
	return c, nil
}

// Begin starts recording anew.
func (c *Commands) Begin() error {
	if c.pending {
		return errors.New("vulkan: recording over commands that are running")
	}
	c.layout, c.pipeline, c.dispatches = nil, nil, 0
	return check("begin recording", C.vk_begin(raw(c.commands)))
}

// Bind chooses the kernel of the next dispatches and its buffers.
func (c *Commands) Bind(s *Set) {
	k := s.kernel
	if k.pipeline != c.pipeline {
		vulkan.CmdBindPipeline(c.commands, vulkan.PipelineBindPointCompute, k.pipeline)
		c.pipeline = k.pipeline
	}
	c.layout = k.layout
	C.vk_bind_set(raw(c.commands), raw(k.layout), raw(s.set))
}

// Push sets the push constants of the next dispatches. T is a struct of 32-bit
// numbers of the size that the bound kernel declares.
func Push[T any](c *Commands, constants T) {
	vulkan.CmdPushConstants(c.commands, c.layout, vulkan.ShaderStageFlags(vulkan.ShaderStageComputeBit), 0,
		uint32(unsafe.Sizeof(constants)), unsafe.Pointer(&constants))
}

// Dispatch runs the bound kernel on x*y*z workgroups.
func (c *Commands) Dispatch(x, y, z int) {
	vulkan.CmdDispatch(c.commands, uint32(x), uint32(y), uint32(z))
	c.dispatches++
}

// Barrier makes what was written before visible to kernels and copies after.
func (c *Commands) Barrier() {
	const stages = C.uint32_t(vulkan.PipelineStageComputeShaderBit) | C.uint32_t(vulkan.PipelineStageTransferBit)
	C.vk_barrier(raw(c.commands), stages, stages,
		C.uint32_t(vulkan.AccessShaderWriteBit)|C.uint32_t(vulkan.AccessTransferWriteBit),
		C.uint32_t(vulkan.AccessShaderReadBit)|C.uint32_t(vulkan.AccessShaderWriteBit)|
			C.uint32_t(vulkan.AccessTransferReadBit)|C.uint32_t(vulkan.AccessTransferWriteBit))
}

// ToHost makes what was written before visible to the host after [Commands.Wait].
func (c *Commands) ToHost() {
	C.vk_barrier(raw(c.commands),
		C.uint32_t(vulkan.PipelineStageComputeShaderBit)|C.uint32_t(vulkan.PipelineStageTransferBit), C.uint32_t(vulkan.PipelineStageHostBit),
		C.uint32_t(vulkan.AccessShaderWriteBit)|C.uint32_t(vulkan.AccessTransferWriteBit), C.uint32_t(vulkan.AccessHostReadBit))
}

// Copy copies bytes between buffers.
func (c *Commands) Copy(to *Buffer, toOffset int, from *Buffer, fromOffset, size int) {
	C.vk_copy(raw(c.commands), raw(from.buffer), raw(to.buffer), C.uint64_t(fromOffset), C.uint64_t(toOffset), C.uint64_t(size))
}

// Fill sets all of a buffer to a word, over and over.
func (c *Commands) Fill(b *Buffer, word uint32) {
	vulkan.CmdFillBuffer(c.commands, b.buffer, 0, vulkan.DeviceSize(vulkan.WholeSize), word)
}

// End ends the recording.
func (c *Commands) End() error { return check("end recording", vulkan.EndCommandBuffer(c.commands)) }

// Submit starts the recorded work.
func (c *Commands) Submit() error {
	d := c.device
	if err := d.Reach(AtSubmit); err != nil {
		return err
	}
	return d.note(c.submit())
}

func (c *Commands) submit() error {
	d := c.device
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return errors.New("vulkan: submit to a closed device")
	case d.lost != nil:
		return d.lost
	case c.pending:
		return errors.New("vulkan: submit of commands that are running")
	}
	if err := check("submit", C.vk_submit(raw(d.queue), raw(c.commands), raw(c.fence))); err != nil {
		return err
	}
	c.pending = true
	work.submits.Add(1)
	work.dispatches.Add(c.dispatches)
	d.running[c] = true
	return nil
}

// Wait blocks until the submitted work is done. After an error it may still be
// running, and its buffers must not be touched; it can be waited for again. The
// device keeps what is closed meanwhile, since the work may use it.
func (c *Commands) Wait(timeout time.Duration) error {
	if !c.pending {
		return nil
	}
	d := c.device
	err := d.Reach(AtWait)
	if err == nil {
		err = d.note(c.fenced(timeout))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil:
		delete(d.running, c)
		if c.late {
			c.late = false
			d.late--
		}
	case !c.late:
		c.late = true
		d.late++
	}
	return err
}

// fenced waits for the fence and clears it. The fence of a lost device has
// nothing more to say.
func (c *Commands) fenced(timeout time.Duration) error {
	err := check(fmt.Sprintf("wait %v", timeout), C.vk_wait(raw(c.device.device), raw(c.fence), C.uint64_t(max(timeout, 0))))
	if err == nil || errors.Is(err, ErrDeviceLost) {
		c.pending = false
	}
	return err
}
