package shaders

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestLayout compares what Go says of each kernel with what its SPIR-V
// declares: bindings, specialisation constants, and the push constants' offsets
// and types. It also holds the SPIR-V to the capabilities of its variant.
func TestLayout(t *testing.T) {
	pushes := map[*Kernel]any{
		&Embed: EmbedPush{}, &Norm: NormPush{}, &Linear: LinearPush{}, &Rope: RopePush{}, &Attend: AttendPush{}, &Merge: MergePush{},
		&TopK: TopKPush{}, &Group: GroupPush{}, &ExpertUp: ExpertUpPush{}, &ExpertDown: ExpertDownPush{},
		&AttendLanes: AttendPush{}, &Combine: CombinePush{}, &Pick: PickPush{}, &Draw: DrawPush{}, &Above: DrawPush{},
		&MatrixLinear: LinearPush{}, &MatrixExpertUp: ExpertUpPush{}, &MatrixExpertDown: ExpertDownPush{},
	}
	for _, k := range All {
		m := parse(t, k)
		name, variant, _ := strings.Cut(k.Name, ".")
		var push reflect.Type
		for base, p := range pushes {
			if kernel, _, _ := strings.Cut(base.Name, "."); kernel == name {
				push = reflect.TypeOf(p)
			}
		}
		if push == nil {
			t.Errorf("%s: no struct for its push constants", k.Name)
			continue
		}
		if int(push.Size()) != k.Push || k.Push > 128 {
			t.Errorf("%s: %d bytes of push constants, %s has %d", k.Name, k.Push, push.Name(), push.Size())
		}
		if got, want := m.push(), describeStruct(push); got != want {
			t.Errorf("%s: push constants in SPIR-V: %s; in Go: %s", k.Name, got, want)
		}
		if m.bindings != 1<<k.Bindings-1 {
			t.Errorf("%s: bindings in SPIR-V are %b, Go says %d", k.Name, m.bindings, k.Bindings)
		}
		if want := Texels[k]; m.texels() != want {
			t.Errorf("%s: texel buffers in SPIR-V are bindings %b, Go says %b", k.Name, m.texels(), want)
		}
		if want := 1<<(len(k.Constants)+1) - 1; m.constants&^want != 0 {
			t.Errorf("%s: specialisation constants in SPIR-V are %b, Go says %d", k.Name, m.constants, len(k.Constants)+1)
		}
		for _, c := range m.capabilities {
			if c != capabilityShader && !slices.Contains(Variants[variant].Capabilities, c) {
				t.Errorf("%s: capability %d is beyond its profile", k.Name, c)
			}
		}
	}
}

func describeStruct(s reflect.Type) string {
	var text string
	for i := range s.NumField() {
		f := s.Field(i)
		kind := f.Type.Kind().String()
		if f.Type.Kind() == reflect.Array {
			kind = fmt.Sprintf("%d %s", f.Type.Len(), f.Type.Elem().Kind())
		}
		text += fmt.Sprintf("%d:%s ", f.Offset, kind)
	}
	return text
}

// module is the little of a SPIR-V module that the test looks at.
type module struct {
	capabilities []uint32
	bindings     int               // bit set
	binding      map[uint32]uint32 // of variables
	opaque       []uint32          // variables that are no blocks of memory
	constants    int               // bit set of specialisation constants
	scalar       map[uint32]string
	members      map[uint32][]uint32 // of struct types
	offsets      map[[2]uint32]uint32
	pointee      map[uint32]uint32
	pushType     uint32
}

// Instructions, decorations and classes of storage, as the SPIR-V specification
// numbers them.
const (
	opCapability, opTypeInt, opTypeFloat, opTypeVector, opTypeStruct, opTypePointer = 17, 21, 22, 23, 30, 32
	opVariable, opDecorate, opMemberDecorate                                        = 59, 71, 72
	decorationSpecID, decorationBinding, decorationOffset                           = 1, 33, 35
	storageUniformConstant, storagePushConstant                                     = 0, 9
	capabilityShader                                                                = 1
)

func parse(t *testing.T, k *Kernel) *module {
	t.Helper()
	if len(k.SPIRV) < 20 || binary.LittleEndian.Uint32(k.SPIRV) != 0x07230203 {
		t.Fatalf("%s: no SPIR-V", k.Name)
	}
	words := make([]uint32, len(k.SPIRV)/4)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(k.SPIRV[4*i:])
	}
	m := &module{binding: map[uint32]uint32{}, scalar: map[uint32]string{}, members: map[uint32][]uint32{}, offsets: map[[2]uint32]uint32{}, pointee: map[uint32]uint32{}}
	for i := 5; i < len(words); {
		n := int(words[i] >> 16)
		if n == 0 || i+n > len(words) {
			t.Fatalf("%s: broken SPIR-V at word %d", k.Name, i)
		}
		m.instruction(words[i]&0xffff, words[i+1:i+n])
		i += n
	}
	return m
}

func (m *module) instruction(op uint32, args []uint32) {
	switch op {
	case opCapability:
		m.capabilities = append(m.capabilities, args[0])
	case opTypeInt:
		m.scalar[args[0]] = fmt.Sprintf("uint%d", args[1])
	case opTypeFloat:
		m.scalar[args[0]] = fmt.Sprintf("float%d", args[1])
	case opTypeVector:
		m.scalar[args[0]] = fmt.Sprintf("%d %s", args[2], m.scalar[args[1]])
	case opTypeStruct:
		m.members[args[0]] = args[1:]
	case opTypePointer:
		m.pointee[args[0]] = args[2]
	case opVariable:
		switch args[2] {
		case storagePushConstant:
			m.pushType = m.pointee[args[0]]
		case storageUniformConstant:
			m.opaque = append(m.opaque, args[1])
		}
	case opDecorate:
		switch args[1] {
		case decorationBinding:
			m.bindings |= 1 << args[2]
			m.binding[args[0]] = args[2]
		case decorationSpecID:
			m.constants |= 1 << args[2]
		}
	case opMemberDecorate:
		if args[2] == decorationOffset {
			m.offsets[[2]uint32{args[0], args[1]}] = args[3]
		}
	}
}

// texels returns the bindings that are texel buffers, a bit each.
func (m *module) texels() (bits uint32) {
	for _, v := range m.opaque {
		bits |= 1 << m.binding[v]
	}
	return bits
}

// push describes the push constants as describeStruct does.
func (m *module) push() string {
	var text string
	for i, member := range m.members[m.pushType] {
		text += fmt.Sprintf("%d:%s ", m.offsets[[2]uint32{m.pushType, uint32(i)}], m.scalar[member])
	}
	return text
}
