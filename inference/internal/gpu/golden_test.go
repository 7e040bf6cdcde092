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
	b, err := open(t.Context(), only(t), c, w, Options{KV: graph.KVF32, Validate: true}, adjust)
	if err == nil {
		instance := b.instance
		t.Cleanup(func() { silent(t, instance) })
	}
	return b, err
}

// TestGoldenModels runs every golden on lavapipe, and the smallest model's on
// SwiftShader.
func TestGoldenModels(t *testing.T) {
	if golden.Race {
		t.Skip("numeric goldens run without the race detector")
	}
	for _, driver := range drivers.All {
		t.Run(driver.Name, func(t *testing.T) {
			driver.Use(t)
			for _, tree := range golden.Trees(t, models) {
				goldenTree(t, driver, tree)
			}
		})
	}
}

func goldenTree(t *testing.T, driver drivers.Driver, tree string) {
	var only []string
	if driver.Name == drivers.SwiftShader.Name {
		only = []string{"tiny-a"}
	}
	for _, m := range golden.Models(t, tree, only...) {
		suite := golden.Suite{
			Load:      func(c *graph.Config, w *graph.Weights) (graph.Backend, error) { return load(t, c, w, nil) },
			Tolerance: 2e-3,
			MaxTrace:  500,
		}
		if m.Layout == "original" || m.Layout == "gguf" {
			suite.MaxPrompt = 500 // the weights are the same; once is enough
		}
		t.Run(m.Name+"/"+m.Layout, func(t *testing.T) { suite.Run(t, m) })
	}
}

// TestGoldenHalfCache keeps keys and values in f16.
func TestGoldenHalfCache(t *testing.T) {
	if golden.Race {
		t.Skip("numeric goldens run without the race detector")
	}
	for _, driver := range drivers.All {
		t.Run(driver.Name, func(t *testing.T) {
			driver.Use(t)
			suite := golden.Suite{Load: func(c *graph.Config, w *graph.Weights) (graph.Backend, error) {
				return open(t.Context(), only(t), c, w, Options{KV: graph.KVF16, Validate: true}, nil)
			}}.HalfCache()
			if driver.Name == drivers.SwiftShader.Name {
				suite.MaxPrompt = 10
			}
			for _, tree := range golden.Trees(t, models) {
				for _, m := range golden.Models(t, tree) {
					if m.Layout == "hf" && (driver.Name != drivers.SwiftShader.Name || m.Name == "tiny-a") {
						t.Run(m.Name, func(t *testing.T) { suite.Run(t, m) })
					}
				}
			}
		})
	}
}

// TestGoldenFormats runs the formats on lavapipe.
func TestGoldenFormats(t *testing.T) {
	if golden.Race {
		t.Skip("numeric goldens run without the race detector")
	}
	drivers.Lavapipe.Use(t)
	suite := golden.Suite{Load: func(c *graph.Config, w *graph.Weights) (graph.Backend, error) { return load(t, c, w, nil) }}
	suite.RunFormats(t, golden.Trees(t, models))
}
