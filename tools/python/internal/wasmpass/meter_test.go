package wasmpass

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// The modules below are put together by hand: there is no assembler here, and
// each shows one thing that the pass must not break.

func vec(items ...[]byte) []byte {
	b := appendU32(nil, uint32(len(items)))
	for _, it := range items {
		b = append(b, it...)
	}
	return b
}

func section(id byte, content []byte) []byte {
	return append(appendU32([]byte{id}, uint32(len(content))), content...)
}

func str(s string) []byte { return append(appendU32(nil, uint32(len(s))), s...) }

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func sig(params, results []byte) []byte {
	return cat([]byte{0x60}, str(string(params)), str(string(results)))
}

// fn is a function body: its runs of locals and its code without the end.
func fn(locals [][]byte, code ...byte) []byte {
	b := append(vec(locals...), code...)
	return append(appendU32(nil, uint32(len(b)+1)), append(b, opEnd)...)
}

func export(name string, kind, index byte) []byte { return append(str(name), kind, index) }

const (
	i32 = 0x7f
	i64 = 0x7e
)

// program is one exported function "f" of type i32 -> i32 under test, with the
// sections that a case wants beside the usual ones.
type program struct {
	name  string
	types [][]byte // more types, from index 2
	funcs [][]byte // bodies; the first is "f", all have type 1
	extra map[byte][]byte
	turns func(arg int32) int // loop headers passed in f(arg)
}

// The types: 0 is the import's, 1 is that of the functions.
func (p program) build() []byte {
	types := append([][]byte{sig(nil, []byte{i32}), sig([]byte{i32}, []byte{i32})}, p.types...)
	var decls [][]byte
	for range p.funcs {
		decls = append(decls, []byte{1})
	}
	content := map[byte][]byte{
		secType:     vec(types...),
		secImport:   vec(cat(str("env"), str("other"), []byte{0, 1}), cat(str("env"), str("yield"), []byte{0, 0})),
		secFunction: vec(decls...),
		secExport:   vec(export("f", 0, 2)),
		secCode:     vec(p.funcs...),
	}
	for id, c := range p.extra {
		content[id] = c
	}
	var names [][]byte
	for i := range p.funcs {
		names = append(names, append([]byte{byte(2 + i)}, str(nameOf(i))...))
	}
	out := append([]byte(nil), preamble...)
	out = append(out, section(secCustom, cat(str("name"), []byte{0, 2, 1, 'm'}, section(1, vec(names...))))...)
	for _, id := range sectionOrder {
		if c := content[byte(id)]; c != nil {
			out = append(out, section(byte(id), c)...)
		}
	}
	return append(out, section(secCustom, cat(str(".debug_info"), make([]byte, 300)))...)
}

// nameOf is the name of a program's function in its name section.
func nameOf(i int) string { return fmt.Sprint("f", i) }

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// locals in the code below: 0 is the argument, 1 and up are declared.
var programs = []program{
	{
		name: "countdown by br_if",
		// do { sum += n; n-- } while (n)
		funcs: [][]byte{fn([][]byte{{1, i32}},
			opLoop, blockEmpty,
			0x20, 1, 0x20, 0, 0x6a, 0x21, 1,
			0x20, 0, opI32Const, 1, opI32Sub, 0x22, 0,
			0x0d, 0,
			opEnd,
			0x20, 1)},
		turns: func(n int32) int { return int(n) },
	},
	{
		name: "nested loops",
		// for i = n..1 { for j = i..1 { sum += j } }
		funcs: [][]byte{fn([][]byte{{2, i32}},
			opLoop, blockEmpty,
			0x20, 0, 0x21, 1,
			opLoop, blockEmpty,
			0x20, 2, 0x20, 1, 0x6a, 0x21, 2,
			0x20, 1, opI32Const, 1, opI32Sub, 0x22, 1, 0x0d, 0,
			opEnd,
			0x20, 0, opI32Const, 1, opI32Sub, 0x22, 0, 0x0d, 0,
			opEnd,
			0x20, 2)},
		turns: func(n int32) int { return int(n + n*(n+1)/2) },
	},
	{
		name: "loop with a parameter and a result",
		// (arg) loop (i32)->(i32): x-3, again while x-3 > 0
		funcs: [][]byte{fn([][]byte{{1, i32}},
			0x20, 0,
			opLoop, 1, // block type: type 1
			opI32Const, 3, opI32Sub, 0x22, 1, 0x20, 1,
			opI32Const, 0, 0x4a, // > 0, signed
			0x0d, 0,
			opEnd)},
		turns: func(n int32) int { return max(1, int(n+2)/3) },
	},
	{
		name:  "loop with two parameters and two results",
		types: [][]byte{sig([]byte{i32, i64}, []byte{i32, i64})},
		// (n, acc) -> (n-1, acc+n) while n; gives acc
		funcs: [][]byte{fn([][]byte{{1, i64}},
			0x20, 0, 0x42, 0,
			opLoop, 2,
			0x20, 0, 0xad, 0x7c, 0x21, 1, // acc += n
			0x1a,
			0x20, 0, opI32Const, 1, opI32Sub, 0x22, 0,
			0x20, 1,
			0x20, 0, 0x0d, 0,
			opEnd,
			0xa7, 0x21, 0, 0x1a, 0x20, 0)},
		turns: func(n int32) int { return int(n) },
	},
	{
		name: "br_table, block and if around loops",
		// while n: switch n%3 { 0: sum+=1  1: sum+=10  2: sum+=100 }; n--
		funcs: [][]byte{fn([][]byte{{1, i32}},
			opLoop, blockEmpty,
			0x02, blockEmpty, 0x02, blockEmpty, 0x02, blockEmpty,
			0x20, 0, opI32Const, 3, 0x70, 0x0e, 2, 0, 1, 2,
			opEnd, 0x20, 1, opI32Const, 1, 0x6a, 0x21, 1, 0x0c, 1,
			opEnd, 0x20, 1, opI32Const, 10, 0x6a, 0x21, 1, 0x0c, 0,
			opEnd,
			0x20, 0, opI32Const, 3, 0x70, opI32Const, 2, 0x46,
			opIf, blockEmpty, 0x20, 1, opI32Const, 0xe4, 0, 0x6a, 0x21, 1,
			0x05, 0x01, opEnd,
			0x20, 0, opI32Const, 1, opI32Sub, 0x22, 0, 0x0d, 0,
			opEnd,
			0x20, 1)},
		turns: func(n int32) int { return int(n) },
	},
	{
		name: "branches on comparisons out of blocks and back to loops",
		// do { if n == 3 {sum += 10} else if n > 5 {sum += 100} else {sum += 1}; n-- } while (n > 0),
		// the way back by a branch to either loop, which share their end
		funcs: [][]byte{fn([][]byte{{1, i32}},
			opBlock, blockEmpty, opLoop, blockEmpty,
			opBlock, blockEmpty, opBlock, blockEmpty, opBlock, blockEmpty,
			0x20, 0, opI32Const, 3, opI32Eq, opBrIf, 0,
			0x20, 0, opI32Const, 5, 0x4a, opBrIf, 1, // >, signed
			0x20, 1, opI32Const, 1, 0x6a, 0x21, 1, opBr, 2,
			opEnd, 0x20, 1, opI32Const, 10, 0x6a, 0x21, 1, opBr, 1,
			opEnd, 0x20, 1, opI32Const, 0xe4, 0, 0x6a, 0x21, 1,
			opEnd,
			0x20, 0, opI32Const, 1, opI32Sub, 0x22, 0, opI32Eqz, opBrIf, 1,
			0x20, 0, opI32Const, 4, opI32Eq, opBrIf, 0,
			0x20, 0, opI32Const, 0, 0x4a, opBrIf, 0,
			opEnd, opEnd,
			0x20, 1)},
		turns: func(n int32) int { return int(n) },
	},
	{
		name: "a branch on a comparison that carries a value",
		funcs: [][]byte{fn(nil,
			opBlock, i32, 0x20, 0, 0x20, 0, opI32Const, 3, 0x4a, opBrIf, 0,
			opI32Const, 2, 0x6c, opEnd)},
		turns: func(int32) int { return 0 },
	},
	{
		name: "memory, table, globals, element and data sections",
		// sums bytes of the data, calls through the table, adds a global
		funcs: [][]byte{
			fn([][]byte{{1, i32}},
				opLoop, blockEmpty,
				0x20, 1,
				0x20, 0, 0x2d, 0, 0, // load8_u at n
				0x6a,
				0x20, 0, opI32Const, 0, 0x11, 1, 0, // call_indirect type 1 table 0
				0x6a,
				opGlobalGet, 0, 0x6a,
				0x21, 1,
				0x20, 0, opI32Const, 1, opI32Sub, 0x22, 0, 0x0d, 0,
				opEnd,
				opI32Const, 8, opI32Const, 0, opI32Const, 4, 0xfc, 10, 0, 0, // memory.copy
				0x20, 1, opI32Const, 9, 0x28, 0, 0, 0x6a),
			fn(nil, 0x20, 0, 0x20, 0, 0x6c), // square
		},
		extra: map[byte][]byte{
			secTable:     vec([]byte{0x70, 0, 1}),
			secMemory:    vec([]byte{0, 1}),
			secGlobal:    vec([]byte{i32, 0, opI32Const, 7, opEnd}),
			secElement:   vec(cat([]byte{0, opI32Const, 0, opEnd}, vec([]byte{3}))),
			secDataCount: {1},
			secData:      vec(cat([]byte{0, opI32Const, 0, opEnd}, str("metered loops"))),
		},
		turns: func(n int32) int { return int(n) },
	},
	{
		name:  "start function and a type () -> () already there",
		types: [][]byte{sig(nil, nil)},
		funcs: [][]byte{
			fn(nil, opLoop, blockEmpty, 0x20, 0, opI32Const, 1, opI32Sub, 0x22, 0, 0x0d, 0, opEnd, opGlobalGet, 0),
			fn(nil, opI32Const, 42, opGlobalSet, 0),
		},
		extra: map[byte][]byte{
			secFunction: vec([]byte{1}, []byte{2}),
			secGlobal:   vec([]byte{i32, 1, opI32Const, 7, opEnd}),
			secStart:    {3},
		},
		turns: func(n int32) int { return int(n) },
	},
	{
		name: "immediates that look like loops",
		// constants, SIMD and float bytes that hold 0x03 must be skipped
		funcs: [][]byte{fn([][]byte{{1, 0x7b}},
			cat([]byte{opI32Const, 3, 0x1a, 0x42, 0x83, 0x03, 0x1a, 0x43}, le32(math.Float32bits(1.5)|0x0303), []byte{0x1a},
				[]byte{0x44, 3, 3, 3, 3, 3, 3, 3, 3, 0x1a},
				[]byte{0xfd, 12, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0x22, 1, 0x20, 1},
				[]byte{0xfd, 13, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0xfd, 21, 3},
				[]byte{0x20, 0, 0x6a, 0x43, 0, 0, 0x40, 0x40, 0xfc, 1, 0x6a})...)},
		turns: func(int32) int { return 0 },
	},
	{
		name: "recursion with a loop in each call",
		// f(n) = n < 1 ? 0 : sum of two turns of (f(n-1))
		funcs: [][]byte{fn([][]byte{{2, i32}},
			0x20, 0, 0x45, opIf, i32, opI32Const, 1, 0x05,
			opI32Const, 2, 0x21, 1,
			opLoop, blockEmpty,
			0x20, 2, 0x20, 0, opI32Const, 1, opI32Sub, opCall, 2, 0x6a, 0x21, 2,
			0x20, 1, opI32Const, 1, opI32Sub, 0x22, 1, 0x0d, 0,
			opEnd,
			0x20, 2, opEnd)},
		turns: func(n int32) int { return 2*(1<<n) - 2 },
	},
}

// run calls f(arg) and reports its result and how often it yielded.
func run(t *testing.T, engine wazero.RuntimeConfig, module []byte, arg int32) (result int32, yields int) {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, engine)
	defer rt.Close(ctx)
	_, err := rt.NewHostModuleBuilder("env").
		NewFunctionBuilder().WithFunc(func() uint32 { yields++; return 77 }).Export("yield").
		NewFunctionBuilder().WithFunc(func(x uint32) uint32 { return x }).Export("other").
		Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := rt.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig())
	if err != nil {
		t.Fatalf("instantiate: %v", err)
	}
	res, err := mod.ExportedFunction("f").Call(ctx, api.EncodeI32(arg))
	if err != nil {
		t.Fatalf("call: %v", err)
	}
	return api.DecodeI32(res[0]), yields
}

func TestMeteredProgramsGiveEqualResults(t *testing.T) {
	features := api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall
	engines := map[string]wazero.RuntimeConfig{
		"compiler":    wazero.NewRuntimeConfig().WithCoreFeatures(features),
		"interpreter": wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features),
	}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			before := p.build()
			for _, budget := range []uint32{1, 3, 1000} {
				after, err := Meter(before, Config{Budget: budget, Module: "env", Name: "yield"})
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(after, []byte(".debug_info")) {
					t.Error("a custom section is still there")
				}
				for name, engine := range engines {
					for _, arg := range []int32{1, 2, 5, 11} {
						want, none := run(t, engine, before, arg)
						got, yields := run(t, engine, after, arg)
						if got != want {
							t.Errorf("%s, budget %d: f(%d) = %d, was %d", name, budget, arg, got, want)
						}
						if wantYields := p.turns(arg) / int(budget); yields != wantYields || none != 0 {
							t.Errorf("%s, budget %d: f(%d) yielded %d times, want %d", name, budget, arg, yields, wantYields)
						}
					}
				}
			}
		})
	}
}

// TestEndlessLoopCanBeLeft panics out of the yield and calls the module again.
func TestEndlessLoopCanBeLeft(t *testing.T) {
	endless := program{funcs: [][]byte{fn(nil, opLoop, blockEmpty, 0x0c, 0, opEnd, 0x00)}}
	module, err := Meter(endless.build(), Config{Budget: 100, Module: "env", Name: "yield"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	yields := 0
	_, err = rt.NewHostModuleBuilder("env").
		NewFunctionBuilder().WithFunc(func() uint32 {
		if yields++; yields > 50 {
			panic("enough")
		}
		return 0
	}).Export("yield").
		NewFunctionBuilder().WithFunc(func(x uint32) uint32 { return x }).Export("other").
		Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := rt.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		yields = 0
		if _, err := mod.ExportedFunction("f").Call(ctx, 0); err == nil || !strings.Contains(err.Error(), "enough") {
			t.Fatalf("call %d of the endless loop: %v", i, err)
		}
	}
}

func TestMeterRefuses(t *testing.T) {
	good := programs[0].build()
	ok := Config{Budget: 10, Module: "env", Name: "yield"}
	body := func(code ...byte) []byte { return program{funcs: [][]byte{fn(nil, code...)}}.build() }
	tests := []struct {
		name   string
		module []byte
		config Config
		want   string
	}{
		{"zero config", good, Config{}, "budget 0"},
		{"absent import", good, Config{Budget: 1, Module: "env", Name: "nothing"}, "does not import env.nothing"},
		{"import of another type", good, Config{Budget: 1, Module: "env", Name: "other"}, "takes 1 values"},
		{"empty", nil, ok, "preamble"},
		{"a component", []byte{0, 'a', 's', 'm', 0x0d, 0, 1, 0}, ok, "preamble"},
		{"unknown section", cat(good, section(99, nil)), ok, "unknown id 99"},
		{"section twice", cat(good, section(secType, vec())), ok, "appears twice"},
		{"unknown opcode", body(0x20, 0, 0x27), ok, "unknown opcode 0x27"},
		{"unknown bulk opcode", body(0xfc, 99), ok, "unknown opcode 0xfc 99"},
		{"body cut short", program{funcs: [][]byte{{3, 0, opI32Const, 0x80}}}.build(), ok, "function 2"},
		{"body without end", program{funcs: [][]byte{{2, 0, 0x01}}}.build(), ok, "does not end"},
		{"fewer bodies than functions", program{funcs: [][]byte{fn(nil, 0x20, 0)},
			extra: map[byte][]byte{secFunction: vec([]byte{1}, []byte{1})}}.build(), ok, "1 bodies for 2 functions"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Meter(tt.module, tt.config)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestMeterSurvivesDamage(t *testing.T) {
	c := Config{Budget: 5, Module: "env", Name: "yield"}
	damage(t, programs, func(bad []byte) { _, _ = Meter(bad, c) })
}

// damage cuts modules and flips every byte of them: any answer of a pass is fine, a
// panic or an endless loop is not.
func damage[P interface{ build() []byte }](t *testing.T, all []P, pass func(bad []byte)) {
	t.Helper()
	cases := 0
	for _, p := range all {
		good := p.build()
		for i := range good {
			pass(good[:i])
			for _, x := range []byte{0x01, 0x7f, 0x80, 0xff} {
				bad := bytes.Clone(good)
				bad[i] ^= x
				pass(bad)
				cases++
			}
		}
	}
	t.Logf("%d damaged modules", cases)
}

func FuzzMeter(f *testing.F) {
	for _, p := range programs {
		f.Add(p.build())
	}
	f.Fuzz(func(t *testing.T, module []byte) {
		_, _ = Meter(module, Config{Budget: 5, Module: "env", Name: "yield"})
	})
}

func ExampleMeter() {
	module := programs[0].build() // or os.ReadFile
	metered, err := Meter(module, Config{Budget: 20_000, Module: "env", Name: "yield"})
	fmt.Println(len(metered) > 0, err)
	// Output: true <nil>
}
