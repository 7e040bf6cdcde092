// Package shaders holds the compute kernels of the gpt-oss model: GLSL sources
// (*.comp, include/), the SPIR-V that glslc makes of them, and for each kernel
// the layout of its push constants.
//
// All but their variants keep to what every Vulkan 1.1 device has (32-bit floats and
// integers, at most 128 bytes of push constants, storage buffers alone, any subgroup
// size), but for two limits that are above what Vulkan grants: workgroups have up to 256
// invocations, and a kernel has up to 11 storage buffers. Each kernel's formula and
// layout are in the comment that its source begins with.
//
// The SPIR-V is committed, so that neither a build nor a user needs a shader
// compiler. After a change to a source run make shaders, which needs the pinned
// glslc and fetches a newer compiler for cooperative matrices. A test holds
// spv/MANIFEST against the sources.
package shaders

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

//go:generate go test -count=1 -run TestSPIRV -update .

// Kernel is a compiled compute kernel. Its entry point is main, its bindings
// are storage buffers 0 to Bindings-1 of set 0. Specialisation constant 0 is
// the number of invocations per workgroup (in x); the others are named in
// Constants, from 1 on.
type Kernel struct {
	Name      string // of the source, and behind a dot of the variant
	SPIRV     []byte
	Bindings  int
	Push      int // bytes of push constants
	Constants []string
}

// Variants are the ways to compile a kernel beyond the base, by the part of its
// name behind the dot: what the preprocessor is told, and the capabilities of
// SPIR-V that the device must have (61, 63 and 65 are subgroups, sums over them and
// shuffles, 46 is texel buffers, 9 is f16, 6018 and 6019 are dot products of packed bytes, 6022 is cooperative
// matrices, 5345 the memory model that they need). Those without COOPERATIVE of
// the kernels matrix_*.comp are for tests alone (matrix.glsl).
var Variants = map[string]struct {
	Defines      []string
	Capabilities []uint32
}{
	"":         {},
	"subgroup": {[]string{"-DSUBGROUP"}, []uint32{61, 63}},
	"texel":    {[]string{"-DTEXEL"}, []uint32{61, 63, 65, 46}},
	"tiled":    {[]string{"-DTILED"}, nil},
	"half":     {[]string{"-DSUBGROUP", "-DHALF"}, []uint32{61, 63, 9}},
	"dot":      {[]string{"-DSUBGROUP", "-DDOT"}, []uint32{61, 63, 6018, 6019}},

	"cooperative": {[]string{"-DCOOPERATIVE"}, []uint32{9, 61, 5345, 6022}},
	"emulated":    {nil, []uint32{9, 61}},
}

// Subgroups reports whether a kernel takes its workgroups to be whole subgroups.
func (k *Kernel) Subgroups() bool {
	_, variant, _ := strings.Cut(k.Name, ".")
	const subgroups = 61 // the capability
	return slices.Contains(Variants[variant].Capabilities, subgroups)
}

// All lists the kernels.
var All = []*Kernel{&Embed, &Norm, &Linear, &Rope, &Attend, &Merge, &TopK, &Group, &ExpertUp, &ExpertDown, &Combine, &Pick, &Draw, &Above,
	&LinearTexel, &ExpertUpTexel, &ExpertDownTexel, &AttendLanes,
	&TiledLinear, &TiledExpertUp, &TiledExpertDown,
	&LinearSubgroup, &ExpertUpSubgroup, &ExpertDownSubgroup, &ExpertUpHalf, &ExpertDownHalf, &ExpertUpDot, &ExpertDownDot,
	&MatrixLinear, &MatrixExpertUp, &MatrixExpertDown}

// Texels are the bindings, a bit each, that are texel buffers of four words instead
// of storage buffers.
var Texels = map[*Kernel]uint32{
	&AttendLanes:     1<<1 | 1<<3 | 1<<4,
	&LinearTexel:     1<<0 | 1<<1,
	&ExpertUpTexel:   1<<0 | 1<<1 | 1<<2,
	&ExpertDownTexel: 1<<0 | 1<<1 | 1<<2,
}

// Digest is one hash of all kernels as compiled.
func Digest() string {
	h := sha256.New()
	for _, k := range All {
		fmt.Fprintln(h, k.Name, len(k.SPIRV))
		h.Write(k.SPIRV)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The kernels, in the order of the model.
var (
	Embed      = Kernel{"embed", embedSPV, 3, 16, []string{"FORMAT"}}
	Norm       = Kernel{"norm", normSPV, 3, 8, nil}
	Linear     = Kernel{"linear", linearSPV, 4, 28, []string{"ROWS", "TILE", "FORMAT"}}
	Rope       = Kernel{"rope", ropeSPV, 3 + 2*RopeShares, 104, []string{"HALF", "SHARES"}}
	Attend     = Kernel{"attend", attendSPV, 7, 40, []string{"SHARE", "GROUP", "QUERIES", "HALF", "SPLIT"}}
	Merge      = Kernel{"merge", mergeSPV, 6, 32, nil}
	TopK       = Kernel{"topk", topkSPV, 3, 12, nil}
	Group      = Kernel{"group", groupSPV, 4, 12, []string{"TILE", "EXPERTS"}}
	ExpertUp   = Kernel{"expert_up", expertUpSPV, 7, 28, []string{"ROWS", "TILE"}}
	ExpertDown = Kernel{"expert_down", expertDownSPV, 6, 16, []string{"ROWS", "TILE"}}

	// Variants of the products, which dominate: what they ask of a device stands
	// in Variants.
	LinearSubgroup     = Kernel{"linear.subgroup", linearSubgroupSPV, 4, 28, Linear.Constants}
	ExpertUpSubgroup   = Kernel{"expert_up.subgroup", expertUpSubgroupSPV, 7, 28, ExpertUp.Constants}
	ExpertDownSubgroup = Kernel{"expert_down.subgroup", expertDownSubgroupSPV, 6, 16, ExpertDown.Constants}
	LinearTexel        = Kernel{"linear.texel", linearTexelSPV, 4, 28, Linear.Constants}
	ExpertUpTexel      = Kernel{"expert_up.texel", expertUpTexelSPV, 7, 28, ExpertUp.Constants}
	ExpertDownTexel    = Kernel{"expert_down.texel", expertDownTexelSPV, 6, 16, ExpertDown.Constants}
	AttendLanes        = Kernel{"attend_lanes.texel", attendLanesSPV, 7, 40, []string{"SHARE", "GROUP", "HEADS", "HALF"}}
	ExpertUpHalf       = Kernel{"expert_up.half", expertUpHalfSPV, 7, 28, ExpertUp.Constants}
	ExpertDownHalf     = Kernel{"expert_down.half", expertDownHalfSPV, 6, 16, ExpertDown.Constants}
	ExpertUpDot        = Kernel{"expert_up.dot", expertUpDotSPV, 7, 28, ExpertUp.Constants}
	ExpertDownDot      = Kernel{"expert_down.dot", expertDownDotSPV, 6, 16, ExpertDown.Constants}

	// The products in tiles, for batches: in f32, and on matrix units.
	TiledLinear      = Kernel{"matrix_linear.tiled", tiledLinearSPV, 4, 28, MatrixLinear.Constants}
	TiledExpertUp    = Kernel{"matrix_expert_up.tiled", tiledExpertUpSPV, 7, 28, MatrixExpertUp.Constants}
	TiledExpertDown  = Kernel{"matrix_expert_down.tiled", tiledExpertDownSPV, 6, 16, MatrixExpertDown.Constants}
	MatrixLinear     = Kernel{"matrix_linear.cooperative", matrixLinearSPV, 4, 28, []string{"SUBGROUPS", "DOWN", "ACROSS", "FORMAT"}}
	MatrixExpertUp   = Kernel{"matrix_expert_up.cooperative", matrixExpertUpSPV, 7, 28, MatrixLinear.Constants[:3]}
	MatrixExpertDown = Kernel{"matrix_expert_down.cooperative", matrixExpertDownSPV, 6, 16, MatrixLinear.Constants[:3]}

	Combine = Kernel{"combine", combineSPV, 4, 12, nil}
	Pick    = Kernel{"pick", pickSPV, 3, 4, nil}
	Draw    = Kernel{"draw", drawSPV, 4, 8, nil}
	Above   = Kernel{"above", aboveSPV, 4, 8, nil}
)

var (
	//go:embed spv/embed.spv
	embedSPV []byte
	//go:embed spv/norm.spv
	normSPV []byte
	//go:embed spv/linear.spv
	linearSPV []byte
	//go:embed spv/rope.spv
	ropeSPV []byte
	//go:embed spv/attend.spv
	attendSPV []byte
	//go:embed spv/merge.spv
	mergeSPV []byte
	//go:embed spv/topk.spv
	topkSPV []byte
	//go:embed spv/group.spv
	groupSPV []byte
	//go:embed spv/expert_up.spv
	expertUpSPV []byte
	//go:embed spv/expert_down.spv
	expertDownSPV []byte
	//go:embed spv/combine.spv
	combineSPV []byte
	//go:embed spv/pick.spv
	pickSPV []byte
	//go:embed spv/draw.spv
	drawSPV []byte
	//go:embed spv/above.spv
	aboveSPV []byte
	//go:embed spv/linear.subgroup.spv
	linearSubgroupSPV []byte
	//go:embed spv/expert_up.subgroup.spv
	expertUpSubgroupSPV []byte
	//go:embed spv/attend_lanes.texel.spv
	attendLanesSPV []byte
	//go:embed spv/matrix_linear.tiled.spv
	tiledLinearSPV []byte
	//go:embed spv/matrix_expert_up.tiled.spv
	tiledExpertUpSPV []byte
	//go:embed spv/matrix_expert_down.tiled.spv
	tiledExpertDownSPV []byte
	//go:embed spv/linear.texel.spv
	linearTexelSPV []byte
	//go:embed spv/expert_up.texel.spv
	expertUpTexelSPV []byte
	//go:embed spv/expert_down.texel.spv
	expertDownTexelSPV []byte
	//go:embed spv/expert_up.half.spv
	expertUpHalfSPV []byte
	//go:embed spv/expert_up.dot.spv
	expertUpDotSPV []byte
	//go:embed spv/expert_down.subgroup.spv
	expertDownSubgroupSPV []byte
	//go:embed spv/expert_down.half.spv
	expertDownHalfSPV []byte
	//go:embed spv/expert_down.dot.spv
	expertDownDotSPV []byte
	//go:embed spv/matrix_linear.cooperative.spv
	matrixLinearSPV []byte
	//go:embed spv/matrix_expert_up.cooperative.spv
	matrixExpertUpSPV []byte
	//go:embed spv/matrix_expert_down.cooperative.spv
	matrixExpertDownSPV []byte
)
