package wasmpass

import (
	"bytes"
	"strings"
	"testing"
)

// callers are f0, which calls f1 twice, and f1, which returns from the middle of
// a loop and has a local that it relies on to be zero.
var callers = program{
	funcs: [][]byte{
		fn([][]byte{{1, i64}}, opLocalGet, 0, opCall, 3, opLocalGet, 0, opI32Const, 1, opI32Add, opCall, 3, opI32Add),
		fn([][]byte{{1, i32}, {1, f64}},
			opLoop, blockEmpty,
			opLocalGet, 1, opLocalGet, 0, opI32Add, opLocalTee, 1,
			opI32Const, 20, opI32GtU, opIf, blockEmpty, opLocalGet, 1, opReturn, opEnd,
			opBr, 0,
			opEnd, opUnreachable),
	},
	extra: map[byte][]byte{secMemory: vec([]byte{0, 1}), secExport: vec(export("f", 0, 2), export("memory", 2, 0))},
}

func TestInline(t *testing.T) {
	before := callers.build()
	after, err := Inline(before, []string{"f1", "f0"})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(codeOf(t, after), []byte{opCall, 3}) {
		t.Error("a call is left")
	}
	for _, arg := range []int32{1, 3, 7, 30} {
		want, err := outcome(before, arg)
		if err != nil || want == "trap" {
			t.Fatal(want, err)
		}
		if got, err := outcome(after, arg); got != want || err != nil {
			t.Errorf("f(%d) gives %s (%v), was %s", arg, got, err, want)
		}
	}
}

// TestInlineFollowsItsList: what is called goes only into what stands behind it.
func TestInlineFollowsItsList(t *testing.T) {
	before := callers.build()
	for _, names := range [][]string{nil, {"f0"}, {"f1"}, {"f0", "f1"}} {
		after, err := Inline(before, names)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(codeOf(t, after), codeOf(t, before)) {
			t.Errorf("%q: f0 has changed", names)
		}
	}
}

func TestInlineRefuses(t *testing.T) {
	tail := callers
	tail.funcs = [][]byte{tail.funcs[0], fn(nil, opLocalGet, 0, opReturnCall, 0)}
	vector := callers
	vector.funcs = [][]byte{vector.funcs[0], fn([][]byte{{1, v128}}, opLocalGet, 0)}
	many := callers
	many.funcs = [][]byte{many.funcs[0], fn([][]byte{{0xff, 0xff, 3, i32}}, opLocalGet, 0)}
	for _, tt := range []struct {
		name   string
		module []byte
		names  []string
		want   string
	}{
		{"an unknown name", callers.build(), []string{"f1", "nobody"}, "0 functions are named nobody"},
		{"a tail call", tail.build(), []string{"f1", "f0"}, "f0: offset 5: what it calls has opcode 0x12"},
		{"a local that is not a number", vector.build(), []string{"f1", "f0"}, "a local of type 0x7b"},
		{"a flood of locals", many.build(), []string{"f1", "f0"}, "f1: more than 4096 locals"},
		{"no module", []byte("no"), []string{"f1"}, "not a WebAssembly 1.0 module"},
	} {
		if _, err := Inline(tt.module, tt.names); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestInlineSurvivesDamage(t *testing.T) {
	names := []string{"f1", "f0"}
	damage(t, []program{callers}, func(bad []byte) { _, _ = Inline(bad, names) })
}
