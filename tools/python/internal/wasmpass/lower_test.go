package wasmpass

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

const (
	f32    = 0x7d
	f64    = 0x7c
	v128   = 0x7b
	exnref = 0x69

	catchTag, catchRef, catchAll, catchAllRef = 0, 1, 2, 3
)

// The tags: 0 carries an i32, 1 carries nothing. Types: 0 is () -> i32, 1 is
// i32 -> i32, 2 is the tag's i32 -> (), 3 is () -> ().
var (
	tagTypes = [][]byte{sig([]byte{i32}, nil), sig(nil, nil)}
	tags     = vec([]byte{0, 2}, []byte{0, 3})
)

// try is a try_table's beginning: its block type and its clauses.
func try(blockType byte, clauses ...[]byte) []byte {
	return cat([]byte{opTryTable, blockType}, vec(clauses...))
}

// throwing is one exported function "f" and what f(n) must give, by the rules
// of the specification. trap is the result of one that must not return.
type throwing struct {
	name          string
	types         [][]byte // more types, from index 4
	decls         []byte   // types of the functions; empty: 1 for all
	locals        [][]byte // of f
	code          []byte   // of f
	funcs         [][]byte // the functions behind f, from index 3
	extra         map[byte][]byte
	want          func(n int32) int32
	traps         func(n int32) bool
	noInterpreter bool // wazero's interpreter does not take the original
}

func (p throwing) build() []byte {
	extra := map[byte][]byte{secTag: tags}
	if p.decls != nil {
		var decls [][]byte
		for _, d := range p.decls {
			decls = append(decls, []byte{d})
		}
		extra[secFunction] = vec(decls...)
	}
	for id, c := range p.extra {
		extra[id] = c
	}
	return program{
		types: append(append([][]byte{}, tagTypes...), p.types...),
		funcs: append([][]byte{fn(p.locals, p.code...)}, p.funcs...),
		extra: extra,
	}.build()
}

// names are those of its functions, the called before the calling.
func (p throwing) names() (names []string) {
	for i := len(p.funcs); i >= 0; i-- {
		names = append(names, nameOf(i))
	}
	return names
}

// evenThrows is a function i32 -> i32 that throws its argument with tag 0 if
// that is even, and doubles it otherwise.
var evenThrows = fn(nil, 0x20, 0, opI32Const, 1, 0x71, opI32Eqz,
	opIf, blockEmpty, 0x20, 0, opThrow, 0, opEnd,
	0x20, 0, opI32Const, 1, 0x74)

func even(n int32) bool { return n%2 == 0 }

var throwings = []throwing{
	{
		name: "throw and catch in one body",
		code: cat([]byte{opBlock, i32}, try(blockEmpty, []byte{catchTag, 0, 0}),
			[]byte{0x20, 0, opThrow, 0, opEnd, opI32Const, 0x7f, opEnd, opI32Const, 10, 0x6a}),
		want: func(n int32) int32 { return n + 10 },
	},
	{
		name: "through a frame that knows nothing of it",
		code: cat([]byte{opBlock, i32}, try(i32, []byte{catchTag, 0, 0}),
			[]byte{0x20, 0, opCall, 3, opEnd, opReturn, opEnd, opI32Const, 7, 0x6a}),
		funcs: [][]byte{fn(nil, opI32Const, 0xe8, 7, 0x20, 0, opCall, 4, 0x6a), evenThrows}, // 1000 + g(n)
		want: func(n int32) int32 {
			if even(n) {
				return n + 7
			}
			return 1000 + 2*n
		},
	},
	{
		name: "nested: the inner one is for another tag",
		// an even number is thrown with tag 0 and caught outside; an odd one
		// leads to tag 1, which is caught inside
		code: cat([]byte{opBlock, i32}, try(i32, []byte{catchTag, 0, 0}),
			[]byte{opBlock, blockEmpty}, try(blockEmpty, []byte{catchTag, 1, 0}),
			[]byte{0x20, 0, opCall, 3, opDrop, opThrow, 1, opEnd,
				opUnreachable, opEnd, opI32Const, 50, opEnd, opReturn, opEnd, opI32Const, 7, 0x6a}),
		funcs: [][]byte{evenThrows},
		want: func(n int32) int32 {
			if even(n) {
				return n + 7
			}
			return 50
		},
	},
	{
		name:   "locals changed in the try body",
		locals: [][]byte{{1, i32}},
		code: cat([]byte{opI32Const, 5, 0x21, 1, opBlock, i32}, try(i32, []byte{catchTag, 0, 0}),
			[]byte{opI32Const, 9, 0x21, 1, 0x20, 0, opCall, 3, opI32Const, 13, 0x21, 1, opEnd, opEnd, 0x20, 1, 0x6a}),
		funcs: [][]byte{evenThrows},
		want: func(n int32) int32 {
			if even(n) {
				return n + 9
			}
			return 2*n + 13
		},
	},
	{
		name:   "rethrow by reference",
		locals: [][]byte{{1, exnref}, {1, i32}},
		// catch_all_ref inside, count it, throw_ref to the outer catch
		code: cat([]byte{opBlock, i32}, try(i32, []byte{catchTag, 0, 0}),
			[]byte{opBlock, exnref}, try(blockEmpty, []byte{catchAllRef, 0}),
			[]byte{0x20, 0, opCall, 3, opReturn, opEnd, opUnreachable, opEnd,
				0x21, 1, opI32Const, 30, 0x21, 2, 0x20, 1, opThrowRef, opEnd, opEnd, 0x20, 2, 0x6a}),
		funcs: [][]byte{evenThrows},
		want: func(n int32) int32 {
			if even(n) {
				return n + 30
			}
			return 2 * n
		},
	},
	{
		name:   "catch_ref gives the payload and the reference",
		locals: [][]byte{{1, exnref}},
		types:  [][]byte{sig(nil, []byte{i32, exnref})},
		code: cat([]byte{opBlock, i32}, try(i32, []byte{catchTag, 0, 0}),
			[]byte{opBlock, 4}, try(blockEmpty, []byte{catchRef, 0, 0}),
			[]byte{0x20, 0, opCall, 3, opReturn, opEnd, opUnreachable, opEnd,
				0x21, 1, opI32Const, 3, 0x6c, 0x21, 0, 0x20, 1, opThrowRef, opEnd, opEnd, 0x20, 0, 0x6a}),
		funcs: [][]byte{evenThrows},
		want: func(n int32) int32 {
			if even(n) {
				return n + 3*n
			}
			return 2 * n
		},
	},
	{
		name:   "a null reference traps",
		locals: [][]byte{{1, exnref}},
		code:   []byte{opRefNull, exnref, 0x21, 1, 0x20, 1, opThrowRef},
		traps:  func(int32) bool { return true },
	},
	{
		name:  "multiple values: results of a call, operands below it",
		types: [][]byte{sig([]byte{i32}, []byte{i32, i64, f64})},
		decls: []byte{1, 4, 1},
		// 2 + (a + b + c) of g(n), or payload + 7
		code: cat([]byte{opBlock, i32}, try(i32, []byte{catchTag, 0, 0}),
			[]byte{opI32Const, 2, opI64Const, 4, opI32WrapI64, 0x20, 0, opCall, 3,
				0xaa, 0x21, 0, opI32WrapI64, 0x6a, 0x20, 0, 0x6a, 0x6a, 0x6a, opEnd, opReturn, opEnd, opI32Const, 7, 0x6a}),
		funcs: [][]byte{fn(nil, cat([]byte{0x20, 0, opCall, 4, opI64Const, 10, opF64Const}, f64bytes(3))...), evenThrows},
		want: func(n int32) int32 {
			if even(n) {
				return n + 7
			}
			return 2 + 4 + 2*n + 10 + 3
		},
	},
	{
		name:  "multiple values: parameters and results of the block itself",
		types: [][]byte{sig([]byte{i32, i64}, []byte{i64, i32})},
		// (n, 4) -> (n + 4, g(n)): their sum, or payload + 1
		locals: [][]byte{{1, i64}},
		code: cat([]byte{opBlock, i32, 0x20, 0, opI64Const, 4}, try(4, []byte{catchTag, 0, 0}),
			[]byte{0x21, 1, 0xac, 0x20, 1, 0x7c, 0x20, 0, opCall, 3, opEnd,
				0x21, 0, opI32WrapI64, 0x20, 0, 0x6a, opReturn, opEnd, opI32Const, 1, 0x6a}),
		funcs: [][]byte{evenThrows},
		want: func(n int32) int32 {
			if even(n) {
				return n + 1
			}
			return n + 4 + 2*n
		},
	},
	{
		name:  "v128 and f32 below the call and as its result",
		types: [][]byte{sig([]byte{i32}, []byte{v128, f32})},
		decls: []byte{1, 4, 1},
		code: cat([]byte{opBlock, i32}, try(i32, []byte{catchTag, 0, 0}),
			[]byte{0x20, 0, opSIMD, 17, 0x20, 0, opCall, 3, 0xa8, 0x21, 0, // i32x4.splat(n); (v, f) = g(n)
				opSIMD, 0xae, 1, opSIMD, 27, 2, 0x20, 0, 0x6a, opEnd, // lane 2 of the sum, and f
				opReturn, opEnd, opI32Const, 9, 0x6a}),
		funcs: [][]byte{fn(nil, cat([]byte{0x20, 0, opCall, 4, opSIMD, 17, opF32Const}, []byte{0, 0, 0x40, 0x41})...), evenThrows}, // 12.0
		want: func(n int32) int32 {
			if even(n) {
				return n + 9
			}
			return n + 2*n + 12
		},
	},
	{
		name:   "a loop around a try that leaves it both ways",
		locals: [][]byte{{1, i32}},
		// n = n & 7 + 1; do { try { sum += g(n) } catch { sum += payload * 100 }; n-- } while (n)
		code: cat([]byte{0x20, 0, opI32Const, 7, 0x71, opI32Const, 1, 0x6a, 0x21, 0, opLoop, blockEmpty, opBlock, blockEmpty, opBlock, i32}, try(blockEmpty, []byte{catchTag, 0, 0}),
			[]byte{0x20, 0, opCall, 3, 0x20, 1, 0x6a, 0x21, 1, opBr, 2, opEnd, opUnreachable, opEnd,
				opI32Const, 0xe4, 0, 0x6c, 0x20, 1, 0x6a, 0x21, 1, opEnd,
				0x20, 0, opI32Const, 1, opI32Sub, 0x22, 0, opBrIf, 0, opEnd, 0x20, 1}),
		funcs: [][]byte{evenThrows},
		want: func(n int32) (sum int32) {
			for n = n&7 + 1; n > 0; n-- {
				if even(n) {
					sum += 100 * n
				} else {
					sum += 2 * n
				}
			}
			return sum
		},
	},
	{
		name: "br_table and return out of two trys",
		// switch n { 0: inner end, 1: outer end, 2: whole function; else return }
		code: cat([]byte{opBlock, i32}, try(blockEmpty, []byte{catchTag, 0, 0}),
			try(blockEmpty, []byte{catchTag, 0, 1}),
			[]byte{opBlock, blockEmpty, 0x20, 0, opBrTable, 2, 1, 2, 0, opEnd,
				0x20, 0, opI32Const, 2, opI32Eq, opIf, blockEmpty, opI32Const, 20, opBr, 4, opEnd,
				0x20, 0, opI32Const, 9, 0x4a, opIf, blockEmpty, 0x20, 0, opThrow, 0, opEnd,
				opI32Const, 30, opReturn, opEnd,
				opI32Const, 40, opReturn, opEnd, opI32Const, 50, opReturn, opEnd, opI32Const, 60, 0x6a}),
		want: func(n int32) int32 {
			switch {
			case n == 0:
				return 40
			case n == 1:
				return 50
			case n == 2:
				return 20
			case n > 9:
				return n + 60
			}
			return 30
		},
	},
	{
		name: "call through a table",
		code: cat([]byte{opBlock, blockEmpty}, try(i32, []byte{catchAll, 0}),
			[]byte{0x20, 0, opI32Const, 0, opCallIndirect, 1, 0, opEnd, opReturn, opEnd, 0x20, 0, opI32Const, 10, 0x6a}),
		funcs: [][]byte{evenThrows},
		extra: map[byte][]byte{
			secTable:   vec([]byte{0x70, 0, 1}),
			secElement: vec(cat([]byte{0, opI32Const, 0, opEnd}, vec([]byte{3}))),
		},
		want: func(n int32) int32 {
			if even(n) {
				return n + 10
			}
			return 2 * n
		},
	},
	{
		name: "the first clause that fits, and none",
		code: cat([]byte{opBlock, blockEmpty}, try(blockEmpty, []byte{catchAll, 0}),
			[]byte{opBlock, i32, opBlock, blockEmpty},
			try(blockEmpty, []byte{catchTag, 1, 0}, []byte{catchTag, 0, 1}, []byte{catchAll, 2}),
			[]byte{0x20, 0, opCall, 3, opDrop, opThrow, 1, opEnd, opUnreachable, opEnd,
				opI32Const, 11, opReturn, opEnd, opI32Const, 3, 0x6a, opReturn, opEnd, opUnreachable, opEnd, opI32Const, 0x7f}),
		funcs: [][]byte{evenThrows},
		want: func(n int32) int32 {
			if even(n) {
				return n + 3
			}
			return 11
		},
	},
	{
		name:  "nobody catches it",
		code:  []byte{0x20, 0, opCall, 3, opI32Const, 1, 0x6a},
		funcs: [][]byte{evenThrows},
		want:  func(n int32) int32 { return 2*n + 1 },
		traps: even,
	},
	{
		name:          "a tail call has left the try",
		code:          cat([]byte{opBlock, blockEmpty}, try(blockEmpty, []byte{catchAll, 0}), []byte{0x20, 0, opReturnCall, 3, opEnd, opEnd, opI32Const, 5}),
		funcs:         [][]byte{evenThrows},
		want:          func(n int32) int32 { return 2 * n },
		traps:         even,
		noInterpreter: true,
	},
	{
		name: "recursion: thrown at the bottom, caught at the top",
		code: cat([]byte{opBlock, i32}, try(i32, []byte{catchTag, 0, 0}),
			[]byte{0x20, 0, opCall, 3, opEnd, opEnd}),
		// down(n) = n < 1 ? throw 77 : down(n-1) + 1
		funcs: [][]byte{fn(nil, 0x20, 0, opI32Const, 1, 0x48, opIf, blockEmpty, opI32Const, 0xcd, 0, opThrow, 0, opEnd,
			0x20, 0, opI32Const, 1, opI32Sub, opCall, 3, opI32Const, 1, 0x6a)},
		want: func(int32) int32 { return 77 },
	},
	{
		name:          "a reference goes through a function and select",
		noInterpreter: true,
		types:         [][]byte{sig([]byte{exnref, exnref}, []byte{exnref})},
		decls:         []byte{1, 4, 1},
		code: cat([]byte{opBlock, i32}, try(i32, []byte{catchTag, 0, 0}),
			[]byte{opBlock, exnref}, try(blockEmpty, []byte{catchAllRef, 0}),
			[]byte{0x20, 0, opCall, 4, opReturn, opEnd, opUnreachable, opEnd,
				opRefNull, exnref, opCall, 3, opThrowRef, opEnd, opEnd, opI32Const, 2, 0x6a}),
		funcs: [][]byte{fn(nil, 0x20, 0, 0x20, 1, opI32Const, 1, opSelectTyped, 1, exnref), evenThrows},
		want: func(n int32) int32 {
			if even(n) {
				return n + 2
			}
			return 2 * n
		},
	},
}

func f64bytes(v byte) []byte { // of the small numbers that are used here
	return map[byte][]byte{3: {0, 0, 0, 0, 0, 0, 8, 0x40}}[v]
}

// callF calls f(arg) of a fresh instance, twice: an exception must not stay
// under way.
func callF(t *testing.T, engine wazero.RuntimeConfig, module []byte, args ...int32) (results []int32, traps []bool) {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, engine)
	defer rt.Close(ctx)
	_, err := rt.NewHostModuleBuilder("env").
		NewFunctionBuilder().WithFunc(func() uint32 { return 77 }).Export("yield").
		NewFunctionBuilder().WithFunc(func(x uint32) uint32 { return x }).Export("other").
		Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := rt.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig())
	if err != nil {
		t.Fatalf("instantiate: %v", err)
	}
	for _, arg := range args {
		res, err := mod.ExportedFunction("f").Call(ctx, api.EncodeI32(arg))
		traps = append(traps, err != nil)
		if err != nil {
			res = []uint64{0}
		}
		results = append(results, api.DecodeI32(res[0]))
	}
	return results, traps
}

func TestLoweredProgramsFollowTheSpecification(t *testing.T) {
	plain := api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall
	engines := map[string]wazero.RuntimeConfig{
		"compiler":    wazero.NewRuntimeConfig().WithCoreFeatures(plain),
		"interpreter": wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(plain),
	}
	args := []int32{1, 2, 3, 0, 4, 11, 10, 2, 1}
	for _, p := range throwings {
		t.Run(p.name, func(t *testing.T) {
			check := func(what string, engine wazero.RuntimeConfig, module []byte) {
				got, traps := callF(t, engine, module, args...)
				for i, arg := range args {
					trap := p.traps != nil && p.traps(arg)
					if traps[i] != trap || !trap && got[i] != p.want(arg) {
						t.Errorf("%s: call %d, f(%d) = %d, trapped %v; want trap %v", what, i, arg, got[i], traps[i], trap)
						if !trap {
							t.Errorf("  want %d", p.want(arg))
						}
					}
				}
			}
			before := p.build()
			if !p.noInterpreter {
				check("original", wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(plain|experimental.CoreFeaturesExceptionHandling), before)
			}
			after, err := Lower(before)
			if err != nil {
				t.Fatal(err)
			}
			metered, err := Meter(after, Config{Budget: 1, Module: "env", Name: "yield"})
			if err != nil {
				t.Fatal(err)
			}
			for name, engine := range engines {
				check(name, engine, after)
				check(name+", metered", engine, metered)
			}
			together, err := Inline(before, p.names())
			if err != nil {
				t.Logf("not put together: %v", err)
				return
			}
			if lowered, err := Lower(together); err != nil {
				t.Errorf("put together: %v", err)
			} else {
				check("put together", engines["compiler"], lowered)
			}
		})
	}
}

// TestLowerLeavesOtherProgramsAlone: without exceptions, behaviour stays.
func TestLowerLeavesOtherProgramsAlone(t *testing.T) {
	engine := wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall)
	for _, p := range programs {
		before := p.build()
		after, err := Lower(before)
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		for _, arg := range []int32{1, 5, 11} {
			want, _ := run(t, engine, before, arg)
			if got, _ := run(t, engine, after, arg); got != want {
				t.Errorf("%s: f(%d) = %d, was %d", p.name, arg, got, want)
			}
		}
	}
}

// TestUncaughtInStart: the start function is called by the host as well.
func TestUncaughtInStart(t *testing.T) {
	p := throwing{decls: []byte{1, 3}, code: []byte{0x20, 0}, funcs: [][]byte{fn(nil, opThrow, 1)}, extra: map[byte][]byte{secStart: {3}}}
	module, err := Lower(p.build())
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	_, err = rt.NewHostModuleBuilder("env").
		NewFunctionBuilder().WithFunc(func() uint32 { return 0 }).Export("yield").
		NewFunctionBuilder().WithFunc(func(x uint32) uint32 { return x }).Export("other").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig()); err == nil || !strings.Contains(err.Error(), "unreachable") {
		t.Errorf("error %v, want a trap", err)
	}
}

func TestLowerRefuses(t *testing.T) {
	body := func(code ...byte) []byte { return throwing{code: code}.build() }
	for _, tt := range []struct {
		name   string
		module []byte
		want   string
	}{
		{"empty", nil, "preamble"},
		{"a tag with two values", throwing{types: [][]byte{sig([]byte{i32, i32}, nil)}, extra: map[byte][]byte{secTag: vec([]byte{0, 4})}}.build(), "tag 0 carries"},
		{"a tag with a float", throwing{types: [][]byte{sig([]byte{f64}, nil)}, extra: map[byte][]byte{secTag: vec([]byte{0, 4})}}.build(), "tag 0 carries"},
		{"an imported tag", throwing{extra: map[byte][]byte{secImport: vec(cat(str("env"), str("t"), []byte{4, 0, 2}))}}.build(), "imports tags"},
		{"a tag without a type", throwing{extra: map[byte][]byte{secTag: vec([]byte{0, 99})}}.build(), "tag section"},
		{"the older try", body(opTry, blockEmpty, opEnd, 0x20, 0), "older kind"},
		{"unknown tag", body(opThrow, 9), "tag 9 of 2"},
		{"unknown tag in a catch", body(cat(try(blockEmpty, []byte{catchTag, 9, 0}), []byte{opEnd, 0x20, 0})...), "tag 9 of 2"},
		{"unknown kind of catch", body(cat(try(blockEmpty, []byte{6, 0}), []byte{opEnd, 0x20, 0})...), "catch of kind 6"},
		{"label out of range", body(opBr, 3), "label 3 of 1"},
		{"block type out of range", body(cat(try(50), []byte{opEnd, 0x20, 0})...), "block type 50"},
		{"call out of range", body(opCall, 99), "calls function 99"},
		{"code behind the end", body(opEnd, 0x20, 0), "behind the end"},
		{"body without end", program{types: tagTypes, funcs: [][]byte{{2, 0, 0x01}}}.build(), "does not end"},
		{"unknown opcode", body(0x27), "unknown opcode 0x27"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Lower(tt.module)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestUnload: an instance begins empty, and has the original's memory after
// the new export was called.
func TestUnload(t *testing.T) {
	text := "first segment"
	load := program{
		funcs: [][]byte{fn(nil, 0x20, 0, 0x2d, 0, 0)}, // the byte at n
		extra: map[byte][]byte{
			secMemory: vec([]byte{0, 1}),
			secData: vec(cat([]byte{0, opI32Const, 2, opEnd}, str(text)),
				cat([]byte{1}, str("passive")),
				cat([]byte{0, opI32Const, 0xe4, 0, opEnd}, str("second"))),
		},
	}.build()
	module, err := Unload(load, "load")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	_, err = rt.NewHostModuleBuilder("env").
		NewFunctionBuilder().WithFunc(func() uint32 { return 0 }).Export("yield").
		NewFunctionBuilder().WithFunc(func(x uint32) uint32 { return x }).Export("other").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	images := map[string][]byte{}
	for name, m := range map[string][]byte{"original": load, "unloaded": module} {
		mod, err := rt.InstantiateWithConfig(ctx, m, wazero.NewModuleConfig().WithName(name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "unloaded" {
			if res, err := mod.ExportedFunction("f").Call(ctx, 2); err != nil || res[0] != 0 {
				t.Errorf("before: %v, %v", res, err)
			}
			if _, err := mod.ExportedFunction("load").Call(ctx); err != nil {
				t.Fatal(err)
			}
		}
		var image []byte
		for i := range uint64(200) {
			res, err := mod.ExportedFunction("f").Call(ctx, i)
			if err != nil {
				t.Fatal(err)
			}
			image = append(image, byte(res[0]))
		}
		images[name] = image
	}
	if !bytes.Equal(images["original"], images["unloaded"]) || !bytes.Contains(images["unloaded"], []byte(text)) {
		t.Errorf("memory is %q, was %q", images["unloaded"], images["original"])
	}
	for name, bad := range map[string][]byte{
		"another memory": vec(cat([]byte{2, 1, opI32Const, 0, opEnd}, str("x"))),
		"cut short":      {1, 0, opI32Const, 0},
	} {
		m := program{funcs: [][]byte{fn(nil, 0x20, 0)}, extra: map[byte][]byte{secMemory: vec([]byte{0, 1}), secData: bad}}.build()
		if _, err := Unload(m, "load"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLowerSurvivesDamage(t *testing.T) {
	damage(t, throwings, func(bad []byte) {
		_, _ = Lower(bad)
		_, _ = Unload(bad, "load")
	})
}

func FuzzLower(f *testing.F) {
	for _, p := range throwings {
		f.Add(p.build())
	}
	f.Fuzz(func(t *testing.T, module []byte) {
		_, _ = Lower(module)
		_, _ = Unload(module, "load")
	})
}
