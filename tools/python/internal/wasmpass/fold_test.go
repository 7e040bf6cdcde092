package wasmpass

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"chorale/tools/python/internal/linear"
)

// withMemory is a program with a memory of one page, which it exports, and data
// at 0x8000, below which constants may be folded.
func withMemory(locals byte, code ...byte) program {
	return program{
		funcs: [][]byte{fn([][]byte{{locals, i32}}, code...)},
		extra: map[byte][]byte{
			secMemory: vec([]byte{0, 1}),
			secExport: vec(export("f", 0, 2), export("memory", 2, 0)),
			secData:   vec(cat([]byte{0, opI32Const, 0x80, 0x80, 2, opEnd}, str("data"))),
		},
	}
}

// codeOf returns the body of "f" without its locals.
func codeOf(t *testing.T, module []byte) (code []byte) {
	t.Helper()
	o, err := read(module)
	if err == nil {
		err = o.eachBody(len(o.functions)-len(o.imports), func(index uint32, body []byte) error {
			r := reader{b: body}
			r.skipLocals()
			if index == 2 {
				code = body[r.pos:]
			}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestFold(t *testing.T) {
	const load, load8, store = 0x28, opI32Load8U, 0x36
	get, set, tee := byte(opLocalGet), byte(opLocalSet), byte(opLocalTee)
	add := func(c byte) []byte { return []byte{opI32Const, c, opI32Add} }
	at := func(op, offset byte) []byte { return []byte{op, 2, offset} }
	check := func(local, last byte) []byte { return []byte{get, local, load8, 0, last, opDrop} }
	// Locals: 0 is the argument, 1 and 2 are declared, 3 is the zero, 4 the first that is added.
	tests := []struct {
		name     string
		slack    uint32
		in, want [][]byte
	}{
		{"a constant goes into the offset", 0,
			[][]byte{{get, 0}, add(8), at(load, 4)},
			[][]byte{{get, 0}, at(load, 12)}},
		{"also where it stands first", 0,
			[][]byte{{opI32Const, 8, get, 0, opI32Add}, at(load, 4)},
			[][]byte{{get, 0}, at(load, 12)}},
		{"whatever it is added to", 0,
			[][]byte{{get, 0, get, 1, opI32Sub}, add(8), at(load, 4)},
			[][]byte{{get, 0, get, 1, opI32Sub}, at(load, 12)}},
		{"a negative one stays", 0,
			[][]byte{{get, 0}, add(0x78), at(load, 4)},
			[][]byte{{get, 0}, add(0x78), at(load, 4)}},
		{"a large one stays", 0,
			[][]byte{{get, 0, opI32Const, 0x80, 0x80, 2, opI32Add}, at(load, 4)},
			[][]byte{{get, 0, opI32Const, 0x80, 0x80, 2, opI32Add}, at(load, 4)}},
		{"the address of a store", 0,
			[][]byte{{get, 0}, add(8), {get, 1}, add(1), at(store, 0), {get, 0}},
			[][]byte{{get, 0}, {get, 1}, add(1), at(store, 8), {get, 0}}},
		{"a local that is a sum", 0,
			[][]byte{{get, 0}, add(8), {tee, 1}, at(load, 0), {get, 1}, at(load, 4), {opI32Add}},
			[][]byte{{get, 0}, add(8), {set, 1, get, 0}, check(0, 15), at(load, 8), {get, 0}, at(load, 12), {opI32Add}}},
		{"until it is set again", 0,
			[][]byte{{get, 0}, add(8), {set, 1, get, 2, set, 1, get, 1}, at(load, 4)},
			[][]byte{{get, 0}, add(8), {set, 1, get, 2, set, 1, get, 1}, at(load, 4)}},
		{"or the other is", 0,
			[][]byte{{get, 0}, add(8), {set, 1, get, 0}, at(load, 0), {set, 0, get, 1}, at(load, 4)},
			[][]byte{{get, 0}, add(8), {set, 1, get, 0}, at(load, 0), {set, 0, get, 1}, at(load, 4)}},
		{"a local that moves on", 0,
			[][]byte{{get, 0}, add(8), {tee, 0}, at(load, 4)},
			[][]byte{{get, 0, tee, 4}, add(8), {set, 0, get, 4}, at(load, 12)}},
		{"not what a block may have changed", 0,
			[][]byte{{get, 0}, add(8), {set, 1, opBlock, blockEmpty, get, 2, opBrIf, 0, get, 2, set, 1, opEnd, get, 1}, at(load, 4)},
			[][]byte{{get, 0}, add(8), {set, 1, opBlock, blockEmpty, get, 2, opBrIf, 0, get, 2, set, 1, opEnd, get, 1, tee, 1}, at(load, 4)}},
		{"nor what a loop may", 0,
			[][]byte{{get, 0}, add(8), {set, 1, opLoop, i32, get, 1}, at(load, 4), {get, 2, set, 1, opEnd}},
			[][]byte{{get, 0}, add(8), {set, 1, opLoop, i32, get, 1}, at(load, 4), {get, 2, set, 1, opEnd}}},
		{"the highest of what is certain first", 0,
			[][]byte{{get, 0}, at(load, 0), {get, 0}, at(load, 8), {opI32Add}},
			[][]byte{{get, 0}, check(0, 11), at(load, 0), {get, 0}, at(load, 8), {opI32Add}}},
		{"but not of what is not", 0,
			[][]byte{{get, 0}, at(load, 0), {opIf, i32, get, 0}, at(load, 8), {opElse, get, 1, opEnd}},
			[][]byte{{get, 0}, at(load, 0), {opIf, i32, get, 0}, at(load, 8), {opElse, get, 1, opEnd}}},
		{"nor of what comes after a call", 0,
			[][]byte{{get, 0}, at(load, 0), {opCall, 0, get, 0}, at(load, 8), {opI32Add}},
			[][]byte{{get, 0}, at(load, 0), {opCall, 0, get, 0}, at(load, 8), {opI32Add}}},
		{"variables", 0,
			[][]byte{{opI32Const, 0}, at(load, 4), {opI32Const, 32}, at(load, 0), {opI32Add}},
			[][]byte{{get, 3}, check(3, 35), at(load, 4), {get, 3}, at(load, 32), {opI32Add}}},
		{"one variable stays", 0,
			[][]byte{{opI32Const, 32}, at(load, 4)},
			[][]byte{{opI32Const, 32}, at(load, 4)}},
		{"a variable that may not be there stays", 0,
			[][]byte{{opI32Const, 0, load, 2, 0xfd, 0xff, 3, opI32Const, 0}, at(load, 4), {opI32Add}},
			[][]byte{{opI32Const, 0, load, 2, 0xfd, 0xff, 3, opI32Const, 0}, at(load, 4), {opI32Add}}},
		{"with slack, what may come is checked with what is certain", 8,
			[][]byte{{get, 0}, at(load, 0), {opIf, i32, get, 0}, at(load, 8), {opElse, get, 1, opEnd}},
			[][]byte{{get, 0}, check(0, 11), at(load, 0), {opIf, i32, get, 0}, at(load, 8), {opElse, get, 1, opEnd}}},
		{"no further than the slack", 7,
			[][]byte{{get, 0}, at(load, 0), {opIf, i32, get, 0}, at(load, 8), {opElse, get, 1, opEnd}},
			[][]byte{{get, 0}, check(0, 10), at(load, 0), {opIf, i32, get, 0}, at(load, 8), {opElse, get, 1, opEnd}}},
		{"nor what another value of the local is asked for", 8,
			[][]byte{{get, 0}, at(load, 0), {set, 0, get, 0}, at(load, 8)},
			[][]byte{{get, 0}, at(load, 0), {set, 0, get, 0}, at(load, 8)}},
		{"where ways meet, a local that is needed on both sides is set", 8,
			[][]byte{{get, 0}, at(load, 0), {set, 1, opBlock, blockEmpty, get, 1, opBrIf, 0, opEnd, get, 0}, at(load, 0)},
			[][]byte{{get, 0}, at(load, 0), {set, 1, opBlock, blockEmpty, get, 1, opBrIf, 0, opEnd, get, 0, set, 0, get, 0, tee, 0}, at(load, 0)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := withMemory(2, cat(tt.in...)...).build()
			after, err := Fold(before, tt.slack)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := codeOf(t, after), append(cat(tt.want...), opEnd); !bytes.Equal(got, want) {
				t.Errorf("%x became %x, want %x", cat(tt.in...), got, want)
			}
			for _, m := range [][]byte{before, after} {
				if _, err := outcome(m, 40); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// outcome is what f(arg) gives and leaves in the memory; or that it traps.
func outcome(module []byte, arg int32) (string, error) {
	return outcomeIn(context.Background(), module, arg)
}

// outcomeWithSlack is the same where more than the memory can be reached.
func outcomeWithSlack(module []byte, arg int32) (string, error) {
	memory, err := linear.New(linear.Page, nil)
	if err != nil {
		return "", err
	}
	defer memory.Release()
	return outcomeIn(experimental.WithMemoryAllocator(context.Background(), memory), module, arg)
}

func outcomeIn(ctx context.Context, module []byte, arg int32) (string, error) {
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig())
	defer rt.Close(ctx)
	_, err := rt.NewHostModuleBuilder("env").
		NewFunctionBuilder().WithFunc(func() uint32 { return 0 }).Export("yield").
		NewFunctionBuilder().WithFunc(func(x uint32) uint32 { return x }).Export("other").
		Instantiate(ctx)
	if err != nil {
		return "", err
	}
	mod, err := rt.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig())
	if err != nil {
		return "", err
	}
	res, err := mod.ExportedFunction("f").Call(ctx, api.EncodeI32(arg))
	if err != nil {
		if strings.Contains(err.Error(), "out of bounds memory access") {
			return "trap", nil
		}
		return "", err
	}
	memory, _ := mod.Memory().Read(0, linear.Page)
	sum := fnv.New64()
	sum.Write(memory)
	return fmt.Sprintf("%d %x", api.DecodeI32(res[0]), sum.Sum64()), nil
}

// author writes random code about locals, addresses and branches: locals 0 to 3
// are what it computes with, 4 to 6 count the turns of loops.
type author struct {
	*rand.Rand
	code  []byte
	loops byte
	calls bool // whether the code calls function 3
}

func (a *author) emit(b ...byte)   { a.code = append(a.code, b...) }
func (a *author) constant(v int32) { a.emit(opI32Const); a.code = appendS32(a.code, v) }
func (a *author) local() byte      { return byte(a.IntN(4)) }

// access goes beyond the memory now and then.
func (a *author) access(op byte) {
	a.emit(op, 0)
	a.code = appendU32(a.code, uint32(a.IntN([]int{8, 64, 3000, 3000, 51000}[a.IntN(5)])))
}

// value pushes a value.
func (a *author) value(depth int) {
	switch k := a.IntN(6); {
	case k == 0 || depth == 0:
		a.constant(int32(a.IntN(2000)))
	case a.calls && a.IntN(8) == 0:
		a.value(depth - 1)
		a.emit(opCall, 3)
		a.constant(0x3fff)
		a.emit(0x71) // and
	case k < 3:
		a.emit(opLocalGet, a.local())
	case k == 3:
		a.address(depth - 1)
		a.access(0x28) // i32.load
		a.constant(0x3fff)
		a.emit(0x71) // and
	case k == 4:
		a.value(depth - 1)
		a.value(depth - 1)
		a.emit([]byte{opI32Add, opI32Sub, 0x71, opI32GtU, opI32Eq}[a.IntN(5)])
		a.constant(0x3fff) // a sum of it does not go around 2^32: Fold promises nothing then
		a.emit(0x71)
	default:
		a.value(depth - 1)
		a.emit(opLocalTee, a.local())
	}
}

// address pushes a value that may well be an address.
func (a *author) address(depth int) {
	switch k := a.IntN(6); {
	case k == 0:
		a.constant(int32(a.IntN(9000)))
	case k == 1 || depth == 0:
		a.emit(opLocalGet, a.local())
	case k < 4:
		a.emit(opLocalGet, a.local())
		if a.IntN(4) > 0 {
			a.constant(int32(a.IntN(4000)))
			a.emit(opI32Add)
			break
		}
		a.constant(int32(-a.IntN(100)))
		a.emit(opI32Add)
		a.constant(0x7fff)
		a.emit(0x71)
	case k == 4:
		a.address(depth - 1)
		a.emit(opLocalTee, a.local())
	default:
		a.value(depth - 1)
	}
}

// statements writes some; labels is how many empty blocks are open.
func (a *author) statements(depth, labels int) {
	for range 1 + a.IntN(6) {
		switch k := a.IntN(9); {
		case k < 3 || depth == 0:
			a.address(2)
			a.emit(opLocalSet, a.local())
		case k < 5:
			a.address(2)
			a.value(2)
			a.access(0x36) // i32.store
		case k == 5:
			a.emit(opBlock, blockEmpty)
			a.statements(depth-1, labels+1)
			a.emit(opEnd)
		case k == 6:
			a.value(2)
			a.emit(opIf, blockEmpty)
			a.statements(depth-1, labels+1)
			if a.IntN(2) == 0 {
				a.emit(opElse)
				a.statements(depth-1, labels+1)
			}
			a.emit(opEnd)
		case k == 7 && labels > 0:
			a.value(2)
			a.emit(opBrIf, byte(a.IntN(labels)))
		case k == 8 && a.loops < 3:
			counter := 4 + a.loops
			a.loops++
			a.constant(3)
			a.emit(opLocalSet, counter, opLoop, blockEmpty)
			a.statements(depth-1, 0) // no branch may lead past the count
			a.emit(opLocalGet, counter, opI32Const, 1, opI32Sub, opLocalTee, counter)
			if a.IntN(2) == 0 {
				a.emit(opI32Const, 0, opI32GtU)
			}
			a.emit(opBrIf, 0, opEnd)
		}
	}
}

// TestRandomProgramsStayWhatTheyWere compares what programs do before and after
// each of the passes that keep a module's meaning.
func TestRandomProgramsStayWhatTheyWere(t *testing.T) {
	trapped, folded, calling, n := 0, 0, 0, 400
	if testing.Short() {
		n = 100
	}
	for seed := range uint64(n) {
		a := author{Rand: rand.New(rand.NewPCG(seed, 1)), calls: true}
		a.statements(4, 0)
		a.value(3)
		called := author{Rand: a.Rand}
		called.statements(2, 0)
		called.value(2)
		p := withMemory(6, a.code...)
		p.funcs = append(p.funcs, fn([][]byte{{6, i32}}, called.code...))
		before := p.build()
		want, err := outcome(before, 300)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if want == "trap" {
			trapped++
		}
		must := func(module []byte, err error) []byte {
			if err != nil {
				t.Fatalf("seed %d: %v: %x", seed, err, a.code)
			}
			return module
		}
		exact := must(Fold(before, 0))
		if !bytes.Equal(codeOf(t, exact), codeOf(t, before)) {
			folded++
		}
		together := must(Inline(before, []string{nameOf(1), nameOf(0)}))
		if !bytes.Equal(codeOf(t, together), codeOf(t, before)) {
			calling++
		}
		for name, m := range map[string][]byte{
			"folded": exact, "put together": together,
			"metered": must(Meter(exact, Config{Budget: 3, Module: "env", Name: "yield"})),
		} {
			if got, err := outcome(m, 300); got != want || err != nil {
				t.Fatalf("seed %d: %s it gives %s (%v), was %s: %x", seed, name, got, err, want, a.code)
			}
		}
		if want == "trap" {
			continue // it may reach the slack instead
		}
		wide := must(Fold(together, linear.Slack))
		if got, err := outcomeWithSlack(wide, 300); got != want || err != nil {
			t.Fatalf("seed %d: with slack it gives %s (%v), was %s: %x", seed, got, err, want, a.code)
		}
	}
	if trapped > n/2 || trapped == 0 || folded < n/2 || calling < n/4 {
		t.Errorf("of %d programs %d trapped, %d were folded and %d put together: they test little", n, trapped, folded, calling)
	}
	t.Logf("%d programs, %d trapped, %d folded, %d put together", n, trapped, folded, calling)
}

// TestFoldWithSlack looks at the last word of the memory, where a field behind it
// is checked and never accessed.
func TestFoldWithSlack(t *testing.T) {
	p := withMemory(0, opLocalGet, 0, 0x28, 2, 0, opIf, i32, opLocalGet, 0, 0x28, 2, 8, opElse, opI32Const, 7, opEnd)
	before := p.build()
	after, err := Fold(before, linear.Slack)
	if err != nil {
		t.Fatal(err)
	}
	const last, behind = linear.Page - 4, linear.Page + linear.Slack - 11
	want, err := outcome(before, last)
	if err != nil || want == "trap" {
		t.Fatal(want, err)
	}
	if got, err := outcomeWithSlack(after, last); got != want || err != nil {
		t.Errorf("it gives %s (%v), was %s", got, err, want)
	}
	for what, f := range map[string]func() (string, error){
		"a memory without slack":      func() (string, error) { return outcome(after, last) },
		"an address beyond the slack": func() (string, error) { return outcomeWithSlack(after, behind) },
	} {
		if got, err := f(); got != "trap" || err != nil {
			t.Errorf("%s: it gives %s (%v), want a trap", what, got, err)
		}
	}
}

func TestFoldSurvivesDamage(t *testing.T) {
	all := append(programs, withMemory(2, 0x20, 0, opI32Const, 8, opI32Add, 0x28, 2, 4))
	damage(t, all, func(bad []byte) { _, _ = Fold(bad, 64) })
}

func FuzzFold(f *testing.F) {
	for _, p := range programs {
		f.Add(p.build())
	}
	f.Fuzz(func(t *testing.T, module []byte) { _, _ = Fold(module, 64) })
}
