//go:build cgo && (amd64 || arm64)

package gpu

import (
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
)

// only returns the only device of the driver in use.
func only(t testing.TB) Device {
	t.Helper()
	devices, err := Devices()
	if err != nil || len(devices) != 1 || !devices[0].Software {
		t.Fatalf("devices: %v, %v", devices, err)
	}
	return devices[0]
}

// load opens a model on the only device of the driver in use, watched by the
// validation layer.
func load(t testing.TB, c *graph.Config, w *graph.Weights, adjust func(*profile)) (*Backend, error) {
	t.Helper()
	return loadKV(t, c, w, graph.KVF32, adjust)
}

func loadKV(t testing.TB, c *graph.Config, w *graph.Weights, kv graph.KVType, adjust func(*profile)) (*Backend, error) {
	t.Helper()
	b, err := open(t.Context(), only(t), c, w, Options{KV: kv, Validate: true}, adjust)
	if err == nil {
		instance := b.instance
		t.Cleanup(func() { silent(t, instance) })
	}
	return b, err
}

// suite is how a profile is to be tested with keys and values in f32 or f16. As far as
// its registers may be off, relative to the base's, so far may the logits be. Where it
// rounds, another choice of experts is no error below a gap of 0.1 (testdata's README).
func suite(t *testing.T, k products, kv graph.KVType) golden.Suite {
	s := golden.Suite{
		Load: func(c *graph.Config, w *graph.Weights) (graph.Backend, error) {
			return loadKV(t, c, w, kv, with(k, nil))
		},
		Tolerance: 2e-3 * Tolerances[k.name] / Tolerances[Base],
		MaxTrace:  500,
	}
	if rounds(k.name) {
		s.MinGap = 0.1
	}
	if kv == graph.KVF16 {
		return s.HalfCache()
	}
	return s
}

// TestGoldenModels runs every golden on lavapipe, and the smallest model's on
// SwiftShader; in profiles that a driver does not run by itself the short ones of the
// smallest, unless all is asked for.
func TestGoldenModels(t *testing.T) {
	eachGolden(t, func(t *testing.T, k products, m golden.Model, brief bool) {
		s := suite(t, k, graph.KVF32)
		switch {
		case brief && (m.Name != smallest || m.Layout != "hf"):
			return
		case brief:
			s.MaxPrompt = 130
		case m.Layout == "original" || m.Layout == "gguf": // the same weights
			s.MaxPrompt = 130
			if everyProfile {
				s.MaxPrompt = 500
			}
		}
		t.Run(m.Name+"/"+m.Layout, func(t *testing.T) { s.Run(t, m) })
	})
}

// TestGoldenHalfCache keeps keys and values in f16.
func TestGoldenHalfCache(t *testing.T) {
	eachGolden(t, func(t *testing.T, k products, m golden.Model, brief bool) {
		if !brief && m.Layout == "hf" {
			t.Run(m.Name, func(t *testing.T) { suite(t, k, graph.KVF16).Run(t, m) })
		}
	})
}

const smallest = "tiny-a"

// eachGolden runs a test in every profile with every model that has goldens, on
// SwiftShader with the smallest.
func eachGolden(t *testing.T, test func(t *testing.T, k products, m golden.Model, brief bool)) {
	if golden.Race {
		t.Skip("numeric goldens run without the race detector")
	}
	for _, driver := range drivers.All {
		t.Run(driver.Name, func(t *testing.T) {
			driver.Use(t)
			var only []string
			if driver.Name == drivers.SwiftShader.Name {
				only = []string{smallest}
			}
			inProfiles(t, driver, func(t *testing.T, k products, brief bool) {
				for _, tree := range golden.Trees(t, models) {
					for _, m := range golden.Models(t, tree, only...) {
						test(t, k, m, brief)
					}
				}
			})
		})
	}
}

// TestGoldenFormats runs the formats on lavapipe.
func TestGoldenFormats(t *testing.T) {
	if golden.Race {
		t.Skip("numeric goldens run without the race detector")
	}
	drivers.Lavapipe.Use(t)
	inProfiles(t, drivers.Lavapipe, func(t *testing.T, k products, _ bool) {
		if k.name != Base && !everyProfile {
			t.Skip(asked) // formats are read alike for all
		}
		suite(t, k, graph.KVF32).RunFormats(t, golden.Trees(t, models))
	})
}
