//go:build cgo && (amd64 || arm64)

package gpu

import (
	"fmt"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
)

// profile is how the kernels are cut to a device. On hardware many invocations
// hide the latency of memory; a software driver runs eight invocations as one
// vector, each load of theirs costs as much as dozens of multiplications, and so
// few invocations with many outputs each are faster there.
type profile struct {
	local int // invocations per workgroup, of most kernels
	norm  int // the same, of norm

	rows1 int // outputs per invocation of linear, one token
	rowsN int // the same, a tile of tokens
	up1   int // as rows1 and rowsN, of the experts' matrices
	upN   int
	down1 int
	downN int
	tile  int // tokens per invocation, for batches

	attend  int // invocations per workgroup of attend
	segment int // positions per dispatch of attend, a multiple of 64
	queries int // query vectors per workgroup of attend, whole tokens, for batches

	window int   // bytes of weights bound at once, at most
	cache  int   // the same of a layer's keys
	slots  int   // of a new cache
	work   int64 // multiplications per submission, so that each ends soon

	staged bool // load through staging buffers even where the host sees the device's memory, for tests
}

func newProfile(c *graph.Config, software bool) profile {
	p := profile{
		local: 64, norm: 256, rows1: 1, rowsN: 4, up1: 2, upN: 4, down1: 1, downN: 4, tile: tile,
		attend: 16, queries: 8, segment: 1 << 16, slots: firstSlots, work: 16e9,
	}
	if software {
		p = profile{
			local: 8, norm: 8, rows1: 8, rowsN: 8, up1: 4, upN: 8, down1: 4, downN: 8, tile: tile,
			attend: 8, queries: 16, segment: 1 << 15, slots: firstSlots, work: 25e7,
		}
	}
	group := c.Heads / c.KVHeads
	p.queries = group * max(1, p.queries/group)
	return p
}

func (p *profile) check(c *graph.Config, d *vk.Device) error {
	group := c.Heads / c.KVHeads
	shared := max(p.queries*(64*4+12), 4*c.Experts)
	if shared > d.MaxShared || max(p.local, p.norm) > d.MaxInvocations {
		return fmt.Errorf("device %s has too little memory per workgroup for %d query heads a KV head and %d experts", d.Name, group, c.Experts)
	}
	return nil
}
