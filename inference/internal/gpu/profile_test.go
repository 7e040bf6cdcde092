//go:build cgo && (amd64 || arm64)

package gpu

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
	"chorale/shaders"
)

// TestProfiles compares every register after every operation with the plain Go
// backend, in every profile that a driver has the features for, and says which
// were not run.
func TestProfiles(t *testing.T) {
	for _, driver := range drivers.All {
		t.Run(driver.Name, func(t *testing.T) {
			driver.Use(t)
			d := description(t)
			c, w := golden.Synth(t, shapes["tails"])
			all, ran := profilesOf(&d), 0
			if driver.Name == drivers.Lavapipe.Name {
				all = append(all, dotProducts(d.Features.Subgroup)) // emulated
			}
			for _, name := range AllProfiles {
				i := slices.IndexFunc(all, func(p products) bool { return p.name == name })
				if i < 0 {
					t.Logf("%s was not run: %s lacks its features or emulates them", name, d.Name)
					continue
				}
				ran++
				t.Run(name, func(t *testing.T) {
					compareProfile(t, c, w, name, func(p *profile) {
						p.products = all[i]
						if name == Texel {
							p.weights = 2 * c.Width * c.Hidden // a few experts
						}
						if m := p.matrices; m != nil { // batches as small as these
							tiles := *m
							tiles.least = fragment
							p.matrices = &tiles
						}
					})
				})
			}
			t.Logf("%d profiles ran", ran)
		})
	}
}

// TestMatrices runs the kernels of matrix units with their fragments computed by
// hand: what differs on a device that has such units is the multiplication of two
// fragments alone. Lavapipe has f16, SwiftShader has not.
func TestMatrices(t *testing.T) {
	drivers.Lavapipe.Use(t)
	d := description(t)
	kernels := matrixProducts(&matrices{
		emulated(t, &shaders.MatrixLinear), emulated(t, &shaders.MatrixExpertUp), emulated(t, &shaders.MatrixExpertDown), d.Features.Subgroup, matrixDown, fragment})
	for _, shape := range []string{"tails", "plain", "128 experts"} {
		t.Run(shape, func(t *testing.T) {
			c, w := golden.Synth(t, shapes[shape])
			compareProfile(t, c, w, Matrix, func(p *profile) {
				p.products = kernels
				if shape == "plain" {
					p.window = 2 * c.Width * c.Hidden // a few experts
				}
			})
		})
	}
}

// emulated returns a kernel without cooperative matrices.
func emulated(t *testing.T, k *shaders.Kernel) *shaders.Kernel {
	t.Helper()
	twin := *k
	twin.Name = strings.TrimSuffix(k.Name, "cooperative") + "emulated"
	var err error
	if twin.SPIRV, err = os.ReadFile("../../../shaders/spv/" + twin.Name + ".spv"); err != nil {
		t.Fatal(err)
	}
	return &twin
}

func description(t *testing.T) vk.Description {
	t.Helper()
	i, err := vk.Open(vk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	all, err := i.Devices()
	if err != nil || len(all) == 0 {
		t.Fatalf("%d devices: %v", len(all), err)
	}
	return all[0]
}

func compareProfile(t *testing.T, c *graph.Config, w *graph.Weights, name string, adjust func(*profile)) {
	t.Helper()
	s, want := beside(t, c, w, adjust)
	for _, x := range []struct{ pos, n int }{{0, 1}, {1, 3}, {4, 40}, {44, 1}, {45, 17}} {
		batch := graph.Batch{Pos: x.pos, Rows: []int{x.n - 1}}
		for i := range x.n {
			batch.IDs = append(batch.IDs, uint32((x.pos+i)*37%c.Vocab))
		}
		got, wanted := trace(t, s, batch), trace(t, want, batch)
		for i, r := range wanted {
			if e := relative(got[i].values, r.values); !(e <= Tolerances[name]) {
				t.Errorf("%d tokens at %d: write %d, register %d: off by %.2g of its size", x.n, x.pos, i, r.reg, e)
			}
		}
	}
}

// relative is the root of the mean square of the difference to what is wanted,
// by that of what is wanted.
func relative(got, want []float32) float64 {
	var off, size float64
	for i := range want {
		d := float64(got[i]) - float64(want[i])
		off += d * d
		size += float64(want[i]) * float64(want[i])
	}
	return math.Sqrt(off / max(size, 1e-20))
}
