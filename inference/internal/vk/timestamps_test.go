//go:build cgo && (amd64 || arm64)

package vk

import (
	"errors"
	"os"
	"testing"
	"time"

	"chorale/inference/internal/drivers"
)

// TestTimestamps times two dispatches of a kernel: each takes some time, together
// no more than the clock says. The counters must have seen them.
func TestTimestamps(t *testing.T) {
	eachDriver(t, func(t *testing.T, d *Device) {
		const numbers = 1 << 18
		stamps, err := d.NewTimestamps(3)
		if errors.Is(err, ErrNoTimestamps) && os.Getenv("CI") != "true" {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := d.NewBuffer(4*numbers, Local)
		if err != nil {
			t.Fatal(err)
		}
		k, err := d.NewKernel(double(t, 8))
		if err != nil {
			t.Fatal(err)
		}
		set, err := d.NewSet(k, Range{Buffer: b}, Range{Buffer: b})
		if err != nil {
			t.Fatal(err)
		}
		c, err := d.NewCommands()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Begin(); err != nil {
			t.Fatal(err)
		}
		c.Reset(stamps)
		c.Fill(b, 1)
		c.Barrier()
		c.Note(stamps, 0)
		c.Bind(set)
		Push(c, uint32(numbers))
		for i := range 2 {
			c.Dispatch(numbers/8, 1, 1)
			c.Barrier()
			c.Note(stamps, i+1)
		}
		before, start := Done(), time.Now()
		if err := errors.Join(c.End(), c.Submit(), c.Wait(time.Minute)); err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		times, err := stamps.Elapsed(3)
		if err != nil {
			t.Fatal(err)
		}
		if times[0] <= 0 || times[1] <= 0 || times[0]+times[1] > took {
			t.Errorf("the dispatches took %v, both by the clock %v", times, took)
		}
		after := Done()
		if n := after.Dispatches - before.Dispatches; n != 2 {
			t.Errorf("%d dispatches were counted, want 2", n)
		}
		if n := after.Submits - before.Submits; n != 1 {
			t.Errorf("%d submits were counted, want 1", n)
		}
		if _, err := stamps.Elapsed(4); err == nil {
			t.Error("4 of 3 timestamps were read")
		}
	})
}

// TestPeak makes and frees a buffer: the peak stays.
func TestPeak(t *testing.T) {
	_, d := device(t, drivers.Lavapipe)
	before := Peak()
	b, err := d.NewBuffer(int(before)+1<<20, Local)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	if _, now := Live(); now != 0 || Peak() < before+1<<20 {
		t.Errorf("%d bytes are live and the peak is %d, it was %d before a buffer of 1 MiB more", now, Peak(), before)
	}
}
