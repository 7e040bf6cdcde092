//go:build cgo && (amd64 || arm64)

package gpu

import (
	"testing"
	"time"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/ref"
)

// TestWatch holds that a watched model tells of every operation that does
// something, under the names of graph.Steps, in each pass again, and still
// computes.
func TestWatch(t *testing.T) {
	drivers.Lavapipe.Use(t)
	c, w := golden.Synth(t, shapes["plain"])
	type place struct{ section, operation string }
	var told map[place]int
	watch := func(section, operation, kernel string, took time.Duration) {
		if kernel == "" || took < 0 {
			t.Errorf("%s, %s: kernel %q took %v", section, operation, kernel, took)
		}
		told[place{section, operation}]++
	}
	device, err := Open(t.Context(), only(t), c, w, Options{Validate: true, Watch: watch})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		silent(t, device.instance)
		device.Close()
	}()
	cpu := ref.New(c, w, ref.Options{Threads: 1, Watch: watch})
	defer cpu.Close()
	// What the device does within the operation before, or not at all.
	within := map[string]bool{"key": true, "value": true, "append": true}
	for _, b := range []graph.Backend{device, cpu} {
		s, err := b.NewState(64)
		if err != nil {
			t.Fatal(err)
		}
		for pos := range 3 {
			told = map[place]int{}
			forward(t, s, graph.Batch{IDs: []uint32{3}, Pos: pos, Rows: []int{0}})
			for _, step := range graph.Steps(c, w, graph.Load{Tokens: 1, Pos: pos, Rows: 1}) {
				if p := (place{step.Section, step.Name}); told[p] == 0 && !(b == device && within[step.Name]) {
					t.Errorf("%T, pass %d: nothing was told of %v", b, pos, p)
				}
			}
			if n := told[place{"experts", "route"}]; n != c.Layers {
				t.Errorf("%T, pass %d: %d times route, want one a layer", b, pos, n)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
