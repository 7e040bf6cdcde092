//go:build cgo && (amd64 || arm64)

package gpu

import (
	"fmt"
	"strings"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
	"chorale/shaders"
)

// profile is how the kernels are cut to a device. On hardware many invocations
// hide the latency of memory; a software driver runs eight invocations as one
// vector, each load of theirs costs as much as dozens of multiplications, and so
// few invocations with many outputs each are faster there.
type profile struct {
	products
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

// products are the kernels that multiply, which is where the time goes.
type products struct {
	name             string
	linear, up, down *shaders.Kernel
	lanes            int // invocations that share an output, a subgroup; 0 is one
	matrices         *matrices
}

// base is what every device runs.
var base = products{name: Base, linear: &shaders.Linear, up: &shaders.ExpertUp, down: &shaders.ExpertDown}

// profilesOf lists what a device has the features for, the base first.
func profilesOf(d *vk.Description) []products {
	all, f := []products{base}, d.Features
	if !f.SubgroupArithmetic || f.Subgroup < 1 || f.Subgroup > d.MaxInvocations {
		return all
	}
	all = append(all, subgroupProducts(f.Subgroup))
	if f.Float16 {
		all = append(all, products{Half, &shaders.LinearSubgroup, &shaders.ExpertUpHalf, &shaders.ExpertDownHalf, f.Subgroup, nil})
	}
	if f.DotAccelerated { // emulated, it is slower than the others, and takes SwiftShader minutes to compile
		all = append(all, dotProducts(f.Subgroup))
	}
	if m := matricesOf(d); m != nil {
		all = append(all, matrixProducts(m))
	}
	return all
}

func subgroupProducts(lanes int) products {
	return products{Subgroup, &shaders.LinearSubgroup, &shaders.ExpertUpSubgroup, &shaders.ExpertDownSubgroup, lanes, nil}
}

func dotProducts(lanes int) products {
	return products{Dot, &shaders.LinearSubgroup, &shaders.ExpertUpDot, &shaders.ExpertDownDot, lanes, nil}
}

func matrixProducts(m *matrices) products {
	p := subgroupProducts(m.lanes)
	p.name, p.matrices = Matrix, m
	return p
}

// use chooses the products of a device by their name; none is the base.
func (p *profile) use(d *vk.Description, name string) error {
	var have []string
	for _, k := range profilesOf(d) {
		if k.name == name || name == "" && k.name == Base {
			p.products = k
			return nil
		}
		have = append(have, k.name)
	}
	return fmt.Errorf("device %s has no kernel profile %q, it has %s", d.Name, name, strings.Join(have, ", "))
}

// group returns the invocations of a workgroup of products, and the outputs that
// it computes at rows each.
func (p *profile) group(rows int) (local, outputs int) {
	if p.lanes > 0 {
		return p.lanes, rows
	}
	return p.local, rows * p.local
}

func newProfile(c *graph.Config, software bool) profile {
	p := profile{
		products: base, local: 64, norm: 256, rows1: 1, rowsN: 4, up1: 2, upN: 4, down1: 1, downN: 4, tile: tile,
		attend: 16, queries: 8, segment: 1 << 16, slots: firstSlots, work: 16e9,
	}
	if software {
		p = profile{
			products: base, local: 8, norm: 8, rows1: 8, rowsN: 8, up1: 4, upN: 8, down1: 4, downN: 8, tile: tile,
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
