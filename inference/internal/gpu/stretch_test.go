//go:build cgo && (amd64 || arm64)

package gpu

import (
	"math"
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/ref"
)

// TestStretch makes a sequence long on the device and on the CPU: what follows
// must be the same, and the books must say where the sequence ends.
func TestStretch(t *testing.T) {
	b := small(t, nil)
	c, w := golden.Synth(t, shapes["plain"])
	oracle := ref.New(c, w, ref.Options{Threads: 1})
	t.Cleanup(func() { oracle.Close() })
	batch := graph.Batch{IDs: make([]uint32, 64), Rows: []int{63}}
	for i := range batch.IDs {
		batch.IDs[i] = uint32(i*i) % uint32(c.Vocab)
	}
	const long = 3000
	var all [][]float32
	for _, backend := range []graph.Backend{b, oracle} {
		s, err := backend.NewState(4096)
		if err != nil {
			t.Fatal(err)
		}
		forward(t, s, batch)
		for _, pos := range []int{5000, 63} {
			if s.(graph.Stretcher).Stretch(pos) == nil {
				t.Errorf("%T: a sequence of 64 in a context of 4096 was stretched to %d", backend, pos)
			}
		}
		if err := s.(graph.Stretcher).Stretch(long); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Forward(t.Context(), graph.Batch{IDs: []uint32{1}, Pos: long + 1}); err == nil {
			t.Errorf("%T: a token behind the end was taken", backend)
		}
		all = append(all, forward(t, s, graph.Batch{IDs: []uint32{7}, Pos: long, Rows: []int{0}}))
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for i, v := range all[0] {
		if d := math.Abs(float64(v - all[1][i])); d > 1e-3 {
			t.Fatalf("logit %d differs by %g: %v and %v", i, d, v, all[1][i])
		}
	}
}
