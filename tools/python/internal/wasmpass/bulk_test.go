package wasmpass

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"
)

// bulkModule exports its memory of 6 MiB and both bulk instructions as functions.
func bulkModule() []byte {
	out := append([]byte(nil), preamble...)
	for _, s := range []struct {
		id      byte
		content []byte
	}{
		{secType, vec(sig(nil, nil), sig([]byte{i32, i32, i32}, nil))},
		{secImport, vec(cat(str("env"), str("yield"), []byte{0, 0}))},
		{secFunction, vec([]byte{1}, []byte{1})},
		{secMemory, vec([]byte{0, 96})},
		{secExport, vec(export("memory", 2, 0), export("copy", 0, 1), export("fill", 0, 2))},
		{secCode, vec(
			fn(nil, opLocalGet, 0, opLocalGet, 1, opLocalGet, 2, opBulk, memoryCopy, 0, 0),
			fn(nil, opLocalGet, 0, opLocalGet, 1, opLocalGet, 2, opBulk, memoryFill, 0))},
	} {
		out = append(out, section(s.id, s.content)...)
	}
	return out
}

// bulkGuest is an instance whose bulk instructions can be called.
type bulkGuest struct {
	memory []byte
	yields int
	call   func(name string, args ...uint64) error
}

func newBulkGuest(t *testing.T, module []byte) *bulkGuest {
	t.Helper()
	ctx, g := context.Background(), &bulkGuest{}
	rt := wazero.NewRuntime(ctx)
	t.Cleanup(func() { rt.Close(ctx) })
	_, err := rt.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() { g.yields++ }).Export("yield").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := rt.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig())
	if err != nil {
		t.Fatal(err)
	}
	g.memory, _ = mod.Memory().Read(0, mod.Memory().Size())
	g.call = func(name string, args ...uint64) error {
		_, err := mod.ExportedFunction(name).Call(ctx, args...)
		return err
	}
	return g
}

// TestBulkInstructionsInPieces compares them with the instructions themselves:
// the whole memory, traps, and how often the host was called.
func TestBulkInstructionsInPieces(t *testing.T) {
	metered, err := Meter(bulkModule(), Config{Budget: 1 << 30, Module: "env", Name: "yield"})
	if err != nil {
		t.Fatal(err)
	}
	want, got := newBulkGuest(t, bulkModule()), newBulkGuest(t, metered)
	random := rand.New(rand.NewPCG(1, 2))
	size := uint64(len(want.memory))
	type call struct{ to, from, length uint64 }
	calls := []call{
		{0, 0, 0}, {size, size, 0}, {size + 1, 0, 0}, {0, size + 1, 0}, {0, 0, size}, {0, 1, size - 1}, {1, 0, size - 1},
		{0, 1, size}, {1, 0, size}, {0, 0, size + 1}, {0, 0, 1<<32 - 1}, {1<<32 - 1, 0, 2}, {0, 1<<32 - 1, 1<<32 - 1},
		{0, piece, piece}, {piece, 0, piece}, {0, 7, piece + 1}, {7, 0, piece + 1}, {7, 7, 3 * piece}, {0, 2 * piece, 3*piece + 5}, {2 * piece, 0, 3*piece + 5},
	}
	for range 60 {
		calls = append(calls, call{random.Uint64N(size), random.Uint64N(size), random.Uint64N(size)})
	}
	noise := make([]byte, size)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for _, c := range calls {
		for _, name := range []string{"copy", "fill"} {
			copy(want.memory, noise)
			copy(got.memory, noise)
			got.yields = 0
			wantErr, gotErr := want.call(name, c.to, c.from, c.length), got.call(name, c.to, c.from, c.length)
			if (wantErr == nil) != (gotErr == nil) {
				t.Errorf("%s %v: %v, want %v", name, c, gotErr, wantErr)
			}
			if !bytes.Equal(want.memory, got.memory) {
				t.Errorf("%s %v leaves another memory", name, c)
			}
			turns := 0
			if wantErr == nil && c.length > 0 {
				turns = int((c.length - 1) / piece)
			}
			if got.yields != turns || want.yields != 0 {
				t.Errorf("%s %v called the host %d times, want %d", name, c, got.yields, turns)
			}
		}
	}
}

// TestBulkInstructionCanBeLeft ends a copy in the middle.
func TestBulkInstructionCanBeLeft(t *testing.T) {
	metered, err := Meter(bulkModule(), Config{Budget: 1, Module: "env", Name: "yield"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	_, err = rt.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() { panic(fmt.Errorf("enough")) }).Export("yield").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := rt.InstantiateWithConfig(ctx, metered, wazero.NewModuleConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mod.ExportedFunction("fill").Call(ctx, 0, 1, 3*piece); err == nil {
		t.Error("the fill was not ended")
	}
	if b, _ := mod.Memory().ReadByte(2 * piece); b != 0 {
		t.Error("it went on after its first piece")
	}
}
