package inference

import (
	"context"
	"errors"
	"slices"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/gpu"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
	"chorale/inference/internal/ref"
	"chorale/inference/internal/weights"
)

func TestTestDevice(t *testing.T) {
	drivers.Lavapipe.Use(t)
	d, err := pick(anySoftware)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Device: anySoftware, Cache: t.TempDir()}
	path, err := deviceFile(o.Cache, d, ".json")
	if err != nil {
		t.Fatal(err)
	}
	if err := writeProof(path, proof{Passed: map[string]bool{gpu.Base: true, gpu.Texel: false}, Chosen: gpu.Base}); err != nil {
		t.Fatal(err)
	}
	told := map[string][]int{}
	o.Testing = func(profile string, done, total int) { told[profile] = append(told[profile], done, total) }
	r, err := TestDevice(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if p := readProof(path); !p.settled() || !p.Passed[gpu.Texel] || !p.Passed[gpu.Half] || p.Times[gpu.Texel] == 0 || p.Times[gpu.Tiled] != 0 {
		t.Errorf("what is remembered is %+v", p)
	}
	profiles := map[string]bool{}
	for _, row := range r.Tests {
		profiles[row.Profile] = true
		if !row.Passed {
			t.Errorf("%+v", row)
		}
		if all := told[row.Profile]; len(all) < 2*12*4 || !slices.Equal(all[:2], []int{0, all[1]}) || !slices.Equal(all[len(all)-2:], []int{all[1], all[1]}) {
			t.Errorf("%s: told of %d", row.Profile, all)
		}
	}
	if !profiles["base"] || !profiles["subgroup"] || len(r.Tests) != (2*13-1)*len(profiles) {
		t.Errorf("%d rows of %v", len(r.Tests), profiles)
	}
	if !r.Passed || !slices.Equal(r.NotRun, []string{"dot", "matrix"}) {
		t.Errorf("passed: %v, not run: %q", r.Passed, r.NotRun)
	}
	if difference(slices.Repeat([]float32{1}, 8), slices.Repeat([]float32{2}, 8)) != 0.5 {
		t.Error("the difference of 1 and 2 is not half of 2")
	}
	var wrong *ChoiceError
	if _, err := TestDevice(t.Context(), Options{Device: "abacus"}); !errors.As(err, &wrong) {
		t.Errorf("no such device: %v", err)
	}
}

// forgetful is a backend that chooses the wrong token where there are filters.
type forgetful struct{ graph.Backend }

func (f forgetful) Forward(ctx context.Context, parts []graph.Part) error {
	err := f.Backend.Forward(ctx, parts)
	for _, p := range parts {
		for i := range p.Tokens {
			if p.Draws[i].Filtered() {
				p.Tokens[i]++
			}
		}
	}
	return err
}

// TestRounds holds that the self-test notices what only some models, caches and draws
// bring to light, and says where.
func TestRounds(t *testing.T) {
	for name, x := range map[string]struct {
		open opener
		want []string // what fails, among others
	}{
		"nothing wrong": {func(c *graph.Config, w *graph.Weights, kv graph.KVType) (graph.Backend, error) {
			return ref.New(c, w, ref.Options{KV: kv}), nil
		}, nil},
		"keys before the last 256": {func(c *graph.Config, w *graph.Weights, kv graph.KVType) (graph.Backend, error) {
			near := *c
			near.Window = slices.Clone(c.Window)
			for i, n := range near.Window {
				if n == 0 {
					near.Window[i] = 256
				}
			}
			return ref.New(&near, w, ref.Options{KV: kv}), nil
		}, []string{"attention; f16, Q8_0"}},
		"caches in f16": {func(c *graph.Config, w *graph.Weights, kv graph.KVType) (graph.Backend, error) {
			wrong := *kernel.Scalar
			wrong.MixHalves = func(int, []float32, int, []float32, int, int, []uint16, []uint16) {}
			return ref.New(c, w, ref.Options{Kernels: &wrong, KV: kv}), nil
		}, []string{"attention; f16, Q8_0"}},
		"matrices in Q8_0": {func(c *graph.Config, w *graph.Weights, kv graph.KVType) (graph.Backend, error) {
			wrong := *w
			if w.Unembedding.W.DType == weights.Q8_0 {
				wrong.Layers = slices.Clone(w.Layers)
				wrong.Layers[1].Out.W = w.Layers[0].Out.W
			}
			return ref.New(c, &wrong, ref.Options{KV: kv}), nil
		}, []string{"embedding, output projection, experts; f16, Q8_0"}},
		"filters": {func(c *graph.Config, w *graph.Weights, kv graph.KVType) (graph.Backend, error) {
			return forgetful{ref.New(c, w, ref.Options{KV: kv})}, nil
		}, []string{"choice of tokens", "choice of tokens; f16, Q8_0"}},
	} {
		rows, err := test(t.Context(), name, gpu.Tolerances[gpu.Base], nil, x.open)
		if err != nil {
			t.Fatal(err)
		}
		var failed []string
		for _, r := range rows {
			if !r.Passed {
				failed = append(failed, r.Operation)
			}
		}
		for _, want := range x.want {
			if !slices.Contains(failed, want) {
				t.Errorf("%s: %q do not pass, want %q among them", name, failed, want)
			}
		}
		if (x.want == nil) != (failed == nil) {
			t.Errorf("%s: %q do not pass", name, failed)
		}
	}
}

// TestTestCPU compares the instructions of this processor with plain Go, and finds out
// some that compute wrongly.
func TestTestCPU(t *testing.T) {
	rows := func() (*DeviceReport, map[string]bool) {
		r, err := TestDevice(t.Context(), Options{Device: "CPU"})
		if err != nil {
			t.Fatal(err)
		}
		passed := map[string]bool{}
		for _, row := range r.Tests {
			was, seen := passed[row.Profile]
			passed[row.Profile] = row.Passed && (was || !seen)
		}
		return r, passed
	}
	sets := kernel.Sets
	r, passed := rows()
	for _, k := range sets()[1:] {
		if !passed[k.Name] {
			t.Errorf("%s does not pass: %+v", k.Name, r.Tests)
		}
	}
	if !r.Passed || passed[kernel.Scalar.Name] || passed[gpu.Dot] != kernel.Best().HasBytes() {
		t.Errorf("%+v", r)
	}
	wrong := *kernel.Scalar
	wrong.Name = "wrong"
	wrong.Norm = func(dst, x, gain []float32, eps float32) { kernel.Scalar.Norm(dst, x, gain, 2*eps+0.1) }
	kernel.Sets = func() []*kernel.Set { return []*kernel.Set{kernel.Scalar, &wrong} }
	defer func() { kernel.Sets = sets }()
	if r, passed := rows(); r.Passed || passed["wrong"] {
		t.Errorf("instructions that compute wrongly: %+v", r)
	}
}
