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

// ErrNoTimestamps says that a device does not tell the time.
var ErrNoTimestamps = errors.New("the device has no timestamps")

// Timestamps are points in time that a device notes while it runs commands.
type Timestamps struct {
	object
	pool   vulkan.QueryPool
	size   int
	mask   uint64  // of the bits that count
	period float64 // nanoseconds per tick
}

// NewTimestamps makes room for so many.
func (d *Device) NewTimestamps(size int) (*Timestamps, error) {
	bits := uint(d.raw.timestamp_bits)
	if bits == 0 || d.raw.timestamp_period <= 0 {
		return nil, ErrNoTimestamps
	}
	t := &Timestamps{size: size, mask: 1<<bits - 1, period: float64(d.raw.timestamp_period)}
	if bits >= 64 {
		t.mask = 1<<64 - 1
	}
	var pool vulkan.QueryPool
	if err := check("make timestamps", C.vk_create_timestamps(raw(d.device), C.uint32_t(size), out(&pool))); err != nil {
		return nil, err
	}
	t.pool = pool
	d.adopt(&t.object, func() { vulkan.DestroyQueryPool(d.device, t.pool, nil) })
	return t, nil
}

// Reset records that the timestamps are to be noted anew.
func (c *Commands) Reset(t *Timestamps) {
	vulkan.CmdResetQueryPool(c.commands, t.pool, 0, uint32(t.size))
}

// Note records that timestamp i is the time when all that was recorded before
// has been done.
func (c *Commands) Note(t *Timestamps, i int) {
	vulkan.CmdWriteTimestamp(c.commands, vulkan.PipelineStageBottomOfPipeBit, t.pool, uint32(i))
}

// Elapsed returns the times between one timestamp and the next, of the first n,
// after [Commands.Wait].
func (t *Timestamps) Elapsed(n int) ([]time.Duration, error) {
	if n < 2 || n > t.size {
		return nil, fmt.Errorf("vulkan: %d of %d timestamps", n, t.size)
	}
	ticks := make([]uint64, n)
	err := check("read timestamps", vulkan.GetQueryPoolResults(t.device.device, t.pool, 0, uint32(n),
		uint(8*n), unsafe.Pointer(&ticks[0]), 8, vulkan.QueryResultFlags(vulkan.QueryResult64Bit|vulkan.QueryResultWaitBit)))
	if err != nil {
		return nil, err
	}
	between := make([]time.Duration, n-1)
	for i := range between {
		between[i] = time.Duration(float64((ticks[i+1]-ticks[i])&t.mask) * t.period)
	}
	return between, nil
}
