package inference

import (
	"errors"
	"slices"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/gpu"
	"chorale/inference/internal/kernel"
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
	if !profiles["base"] || !profiles["subgroup"] || len(r.Tests) != 12*len(profiles) {
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
