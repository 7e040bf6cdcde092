//go:build cgo && (amd64 || arm64)

package gpu

import (
	"slices"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
	"chorale/shaders"
)

// matrices are the products of batches in tiles, on a device's matrix units or
// without; a few tokens are left to the other kernels of their profile.
type matrices struct {
	linear, up, down *shaders.Kernel
	lanes            int // invocations of a subgroup
	deep             int // fragments of outputs of a subgroup
	least            int // tokens of a batch
}

// tiled needs no matrix units: a quarter of its workgroups of 256 stands for a
// subgroup. It begins where guesses end, whose tokens must be those of decoding one
// by one.
func tiled() *matrices {
	return &matrices{&shaders.TiledLinear, &shaders.TiledExpertUp, &shaders.TiledExpertDown, tiledLanes, 1, 64}
}

// How the kernels matrix_*.comp are cut: see shaders/include/matrix.glsl. Nothing
// of it was measured on hardware.
const (
	matrixSubgroups = 4
	matrixDown      = 2 // fragments of outputs of a subgroup
	matrixAcross    = 4 // fragments of tokens, of dense matrices at most

	matrixOutputs = matrixSubgroups * matrixDown * fragment
	matrixShared  = (matrixOutputs+matrixAcross*fragment)*80 + matrixSubgroups*fragment*fragment*4 // bytes

	tiledLanes   = 64
	tiledOutputs = matrixSubgroups * fragment
	tiledShared  = (tiledOutputs+matrixAcross*fragment)*144 + matrixSubgroups*fragment*fragment*4 // bytes
)

// matricesOf returns the products on matrix units, if the device has what they are
// made for.
func matricesOf(d *vk.Description) *matrices {
	f := d.Features
	local := matrixSubgroups * f.Subgroup
	if !f.Float16 || !slices.Contains(f.Matrices, vk.MatrixShape{M: fragment, N: fragment, K: fragment}) ||
		local > d.MaxInvocations || matrixShared > d.MaxShared || fragment*fragment%f.Subgroup != 0 {
		return nil
	}
	return &matrices{&shaders.MatrixLinear, &shaders.MatrixExpertUp, &shaders.MatrixExpertDown, f.Subgroup, matrixDown, fragment}
}

// cut is how a product is shared out.
type cut struct {
	kernel        *shaders.Kernel
	constants     []uint32
	outputs, tile int  // of a workgroup: outputs, and tokens
	turned        bool // tiles of tokens are x, and outputs y
}

// grid is the workgroups of n outputs in so many tiles of tokens.
func (c *cut) grid(n, tiles int) (x, y int) {
	if c.turned {
		return tiles, ceil(n, c.outputs)
	}
	return ceil(n, c.outputs), tiles
}

func (m *matrices) cut(k *shaders.Kernel, across int) cut {
	constants := []uint32{uint32(matrixSubgroups * m.lanes), matrixSubgroups, uint32(m.deep), uint32(across)}
	return cut{k, constants, matrixSubgroups * m.deep * fragment, across * fragment, false}
}

// cutLinear shares a dense matrix out over n tokens. The router stays in f32: on
// equal terms, rounding would choose among experts.
func (p *profile) cutLinear(dst graph.Reg, n int) cut {
	if p.matrices != nil && n >= p.matrices.least && dst != graph.Router {
		across := 1
		for across < matrixAcross && across*fragment < n {
			across *= 2
		}
		return p.matrices.cut(p.matrices.linear, across)
	}
	tile, rows := 1, p.outputs()
	for tile < min(n, p.tile) {
		tile *= 2
	}
	switch {
	case tile == 1:
		return p.cut(p.linear, rows.one, tile)
	case tile <= few:
		return p.cut(p.linear, rows.few, tile)
	}
	return p.cut(p.linear, rows.tile, tile)
}

// cutUp and cutDown share the experts' matrices out over tiles of slots.
func (p *profile) cutUp(tile int) cut {
	if p.matrices != nil && tile >= fragment {
		return p.matrices.cut(p.matrices.up, tile/fragment)
	}
	if tile > 1 {
		return p.cut(p.up, p.outputs().upN, tile)
	}
	return p.cut(p.up, p.outputs().up1, tile)
}

func (p *profile) cutDown(tile int) cut {
	if p.matrices != nil && tile >= fragment {
		return p.matrices.cut(p.matrices.down, tile/fragment)
	}
	if tile > 1 {
		return p.cut(p.down, p.outputs().downN, tile)
	}
	return p.cut(p.down, p.outputs().down1, tile)
}

// cutAttend shares attention out over tokens of one sequence: outputs are the
// workgroups of a KV head, which group query heads use.
func (p *profile) cutAttend(group, tokens int) cut {
	if p.attend != nil {
		heads := min(group, mostHeads)
		for group%heads > 0 {
			heads--
		}
		return cut{p.attend, []uint32{texelLanes, lanesShare, uint32(group), uint32(heads)}, group / heads, 1, false}
	}
	queries := p.queries
	if tokens == 1 {
		queries = group
	}
	return cut{&shaders.Attend, []uint32{uint32(p.sharers), uint32(64 / p.sharers), uint32(group), uint32(queries)}, 1, queries / group, false}
}

func (p *profile) cut(k *shaders.Kernel, rows, tile int) cut {
	local, outputs := p.group(rows)
	return cut{k, []uint32{uint32(local), uint32(rows), uint32(tile)}, outputs, tile, p.name == Texel}
}

// tileOf is how many slots share a look at an expert's weights in a pass over n
// tokens.
func (p *profile) tileOf(c *graph.Config, n int) int {
	least := n + 1
	if p.matrices != nil {
		least = p.matrices.least
	}
	return tileOf(c, n, p.tile, least, timesOf(p.name))
}
