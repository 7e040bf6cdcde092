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

	each each // of products that have none of their own
	tile int  // tokens per invocation, for batches

	sharers int // invocations per workgroup of attend
	segment int // positions per dispatch of attend, a multiple of 64
	split   int // positions per workgroup of attend in full layers, a multiple of 64; 0 is all
	queries int // query vectors per workgroup of attend, whole tokens, for batches

	window  int   // bytes bound at once, at most
	weights int   // the same of the products' weights; 0 is the same
	cache   int   // the same of a layer's keys
	slots   int   // of a new cache
	work    int64 // multiplications per submission, so that each ends soon

	staged bool // load through staging buffers even where the host sees the device's memory, for tests
}

// each is the outputs of an invocation, or of a subgroup that shares them: of
// dense matrices for one token, for few and for a whole tile of them, and of the
// experts' two matrices for one token and for several. Those of experts divide 32,
// those of the first are even.
type each struct{ one, few, tile, up1, upN, down1, downN int }

// products are the kernels that multiply, which is where the time goes.
type products struct {
	name             string
	linear, up, down *shaders.Kernel
	lanes            int // invocations that share an output, a subgroup; 0 is one
	matrices         *matrices
	own              *each           // nil for the profile's
	attend           *shaders.Kernel // nil for shaders.Attend
}

// base is what every device runs.
var base = products{name: Base, linear: &shaders.Linear, up: &shaders.ExpertUp, down: &shaders.ExpertDown}

// How kernel attend_lanes is cut: what an invocation keeps are 64 numbers of each of
// its query heads and of their sums.
const (
	mostHeads  = 8
	lanesShare = 4 // keys at a time
)

// profilesOf lists what a device has the features for, the base first.
func profilesOf(d *vk.Description) []products {
	all, f := []products{base}, d.Features
	if !f.SubgroupWhole || !f.SubgroupArithmetic || f.Subgroup < 1 || f.Subgroup > d.MaxInvocations {
		return all
	}
	if d.Kind == vk.Software && f.Subgroup == texelLanes && f.SubgroupShuffle && 16*d.MaxTexels >= d.MaxBuffer {
		all = append(all, texelProducts)
	}
	all = append(all, subgroupProducts(f.Subgroup))
	if d.MaxInvocations >= matrixSubgroups*tiledLanes && d.MaxShared >= tiledShared {
		all = append(all, tiledProducts(f.Subgroup))
	}
	if f.Float16 {
		all = append(all, products{Half, &shaders.LinearSubgroup, &shaders.ExpertUpHalf, &shaders.ExpertDownHalf, f.Subgroup, nil, nil, nil})
	}
	if f.DotAccelerated { // emulated, it is slower than the others, and takes SwiftShader minutes to compile
		all = append(all, dotProducts(f.Subgroup))
	}
	if m := matricesOf(d); m != nil {
		all = append(all, matrixProducts(m))
	}
	return all
}

// A workgroup of the texel profile is one vector of the processor, of which each
// invocation has rows of its own: see shaders/include/base.glsl.
const (
	texelLanes = 8
	texelRows  = 4              // of an invocation
	tall       = 2 * texelLanes // rows of a tile of weights
)

var texelEach = each{texelRows, texelRows, texelRows, texelRows, texelRows, texelRows, texelRows}

// texelProducts read weights and activations from texel buffers: a software driver
// fetches those as vectors.
var texelProducts = products{Texel, &shaders.LinearTexel, &shaders.ExpertUpTexel, &shaders.ExpertDownTexel, 0, nil, &texelEach, &shaders.AttendLanes}

func subgroupProducts(lanes int) products {
	return products{Subgroup, &shaders.LinearSubgroup, &shaders.ExpertUpSubgroup, &shaders.ExpertDownSubgroup, lanes, nil, nil, nil}
}

func tiledProducts(lanes int) products {
	p := subgroupProducts(lanes)
	p.name, p.matrices = Tiled, tiled()
	return p
}

func dotProducts(lanes int) products {
	return products{Dot, &shaders.LinearSubgroup, &shaders.ExpertUpDot, &shaders.ExpertDownDot, lanes, nil, nil, nil}
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
	switch {
	case p.name == Texel:
		return texelLanes, rows * texelLanes
	case p.lanes > 0:
		return p.lanes, rows
	}
	return p.local, rows * p.local
}

// tiler arranges weights in tiles, for the kernels that want them so.
func (p *profile) tiler() *tiler {
	if p.name == Texel {
		return &tiler{}
	}
	return nil
}

// outputs returns how many outputs invocations have.
func (p *profile) outputs() *each {
	if p.own != nil {
		return p.own
	}
	return &p.each
}

func newProfile(c *graph.Config, software bool) profile {
	p := profile{
		products: base, local: 64, norm: 256, each: each{1, 4, 4, 2, 4, 1, 4}, tile: tile,
		sharers: 16, queries: 8, segment: 1 << 16, split: 256, slots: firstSlots, work: 16e9,
	}
	if software {
		p = profile{
			products: base, local: 8, norm: 8, each: each{8, 8, 8, 4, 8, 4, 8}, tile: tile,
			sharers: 8, queries: 16, segment: 1 << 15, slots: firstSlots, work: 25e7,
		}
	}
	group := c.Heads / c.KVHeads
	p.queries = group * max(1, p.queries/group)
	return p
}

func (p *profile) check(c *graph.Config, d *vk.Device) error {
	if most := shaders.Rope.Bindings; d.MaxBuffers < most {
		return fmt.Errorf("device %s lets a kernel have %d storage buffers, %d are needed", d.Name, d.MaxBuffers, most)
	}
	if most := max(p.local, p.norm); d.MaxInvocations < most {
		return fmt.Errorf("device %s runs workgroups of %d invocations, %d are needed", d.Name, d.MaxInvocations, most)
	}
	group := c.Heads / c.KVHeads
	if shared := max(p.queries*(64*4+12), 4*c.Experts); shared > d.MaxShared {
		return fmt.Errorf("device %s has too little memory per workgroup for %d query heads a KV head and %d experts", d.Name, group, c.Experts)
	}
	return nil
}
