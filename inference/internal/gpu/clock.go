//go:build cgo && (amd64 || arm64)

package gpu

import (
	"time"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
)

// clock has the device note the time after each dispatch of a segment. A nil
// clock does nothing.
type clock struct {
	stamps *vk.Timestamps
	watch  func(section, operation, kernel string, took time.Duration)
	ticks  []tick
}

// tick is a dispatch: where it belongs to, and what it ran.
type tick struct{ section, operation, kernel string }

// mostTicks is how many dispatches of a segment are timed.
const mostTicks = 8192

// watched returns the recorder, or Ops that also tell it what is recorded.
func (o *recorder) watched() graph.Ops {
	if o.watch == nil {
		return o
	}
	return graph.Watch(o, o.config, func(section, operation string) func() {
		o.section, o.operation = section, operation
		return func() {}
	})
}

// startClock begins a segment's times.
func (o *recorder) startClock() error {
	if o.watch == nil {
		return nil
	}
	stamps, err := o.device.NewTimestamps(mostTicks + 1)
	if err != nil {
		return err
	}
	s := &o.out.segments[len(o.out.segments)-1]
	s.clock = &clock{stamps: stamps, watch: o.watch}
	s.Reset(stamps)
	s.Note(stamps, 0)
	return nil
}

// tick records that a dispatch ends here.
func (o *recorder) tick(kernel string) {
	s := o.out.segments[len(o.out.segments)-1]
	if s.clock == nil || len(s.clock.ticks) == mostTicks {
		return
	}
	s.clock.ticks = append(s.clock.ticks, tick{o.section, o.operation, kernel})
	s.Barrier()
	s.Note(s.clock.stamps, len(s.clock.ticks))
}

// tell passes the times on, after the segment has run.
func (c *clock) tell() error {
	if c == nil || len(c.ticks) == 0 {
		return nil
	}
	times, err := c.stamps.Elapsed(len(c.ticks) + 1)
	for i, took := range times {
		c.watch(c.ticks[i].section, c.ticks[i].operation, c.ticks[i].kernel, took)
	}
	return err
}

func (c *clock) close() {
	if c != nil {
		c.stamps.Close()
	}
}
