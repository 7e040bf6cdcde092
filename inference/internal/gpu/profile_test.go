//go:build cgo && (amd64 || arm64)

package gpu

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
	"chorale/shaders"
)

// everyProfile asks for the tests of models whole in every profile, which takes
// minutes.
var everyProfile = os.Getenv("AGENT_PROFILES") != ""

const asked = "set AGENT_PROFILES=1, or make profiles"

// inProfiles runs a test in every profile that the driver in use can run, and says
// which it cannot. Unless all is asked for, the test is to be brief in those that the
// driver does not run by itself.
func inProfiles(t *testing.T, driver drivers.Driver, test func(t *testing.T, k products, brief bool)) {
	t.Helper()
	all := runnable(t, driver)
	own := Base
	if named(all, Texel) != nil {
		own = Texel
	}
	for _, name := range AllProfiles {
		k := named(all, name)
		if k == nil {
			t.Logf("%s was not run: %s lacks its features", name, driver.Name)
			continue
		}
		t.Run(name, func(t *testing.T) { test(t, *k, !everyProfile && name != own) })
	}
}

// onLavapipe runs a test in every profile of lavapipe; unless all is asked for, in
// that which lavapipe runs by itself.
func onLavapipe(t *testing.T, test func(t *testing.T, k products)) {
	drivers.Lavapipe.Use(t)
	inProfiles(t, drivers.Lavapipe, func(t *testing.T, k products, brief bool) {
		if brief {
			t.Skip(asked)
		}
		test(t, k)
	})
}

func named(all []products, name string) *products {
	if i := slices.IndexFunc(all, func(k products) bool { return k.name == name }); i >= 0 {
		return &all[i]
	}
	return nil
}

// runnable lists the profiles that a driver has the features for. On lavapipe dot
// products are emulated by the driver, and matrix units by kernels that multiply
// fragments by hand: what differs on a device that has such units is the
// multiplication of two fragments alone.
func runnable(t *testing.T, driver drivers.Driver) []products {
	t.Helper()
	d := description(t)
	all := profilesOf(&d)
	if driver.Name != drivers.Lavapipe.Name {
		return all
	}
	return append(all, dotProducts(d.Features.Subgroup), matrixProducts(&matrices{
		emulated(t, &shaders.MatrixLinear), emulated(t, &shaders.MatrixExpertUp), emulated(t, &shaders.MatrixExpertDown),
		d.Features.Subgroup, matrixDown, fragment}))
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

// with makes the products k, and adjusts the rest, if there is something to adjust.
func with(k products, adjust func(*profile)) func(*profile) {
	return func(p *profile) {
		p.products = k
		if adjust != nil {
			adjust(p)
		}
	}
}

// TestProfilesOf holds that a device is offered the profiles that it has all for.
func TestProfilesOf(t *testing.T) {
	rich := vk.Description{Kind: vk.Discrete, MaxBuffer: 1 << 30, MaxShared: 48 << 10, MaxInvocations: 1024, Features: vk.Features{
		Subgroup: 32, SubgroupWhole: true, SubgroupArithmetic: true, Float16: true, DotAccelerated: true, Matrices: []vk.MatrixShape{{M: 16, N: 16, K: 16}}}}
	for what, x := range map[string]struct {
		lacks func(*vk.Description)
		want  []string
	}{
		"nothing":         {func(*vk.Description) {}, []string{Base, Subgroup, Tiled, Half, Dot, Matrix}},
		"sums":            {func(d *vk.Description) { d.Features.SubgroupArithmetic = false }, []string{Base}},
		"whole subgroups": {func(d *vk.Description) { d.Features.SubgroupWhole = false }, []string{Base}},
		"large groups":    {func(d *vk.Description) { d.MaxInvocations = 128 }, []string{Base, Subgroup, Half, Dot, Matrix}},
		"shared memory":   {func(d *vk.Description) { d.MaxShared = 16 << 10 }, []string{Base, Subgroup, Half, Dot}},
		"numbers in f16":  {func(d *vk.Description) { d.Features.Float16 = false }, []string{Base, Subgroup, Tiled, Dot}},
	} {
		d := rich
		x.lacks(&d)
		var got []string
		for _, k := range profilesOf(&d) {
			got = append(got, k.name)
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("a device that lacks %s is offered %v, want %v", what, got, x.want)
		}
	}
}

// TestCheck holds that a device is told what it lacks.
func TestCheck(t *testing.T) {
	c := &graph.Config{Heads: 64, KVHeads: 8, Experts: 32}
	p := newProfile(c, false)
	enough := vk.Description{MaxBuffers: 11, MaxInvocations: 256, MaxShared: 16 << 10}
	if err := p.check(c, &vk.Device{Description: enough}); err != nil {
		t.Error(err)
	}
	for want, lack := range map[string]func(*vk.Description){
		"11 are needed":     func(d *vk.Description) { d.MaxBuffers = 10 },
		"256 are needed":    func(d *vk.Description) { d.MaxInvocations = 255 },
		"too little memory": func(d *vk.Description) { d.MaxShared = 1 << 10 },
	} {
		d := enough
		lack(&d)
		if err := p.check(c, &vk.Device{Description: d}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want it to say %q", err, want)
		}
	}
}

// TestBindable holds that a window of weights fits both a binding and an allocation.
func TestBindable(t *testing.T) {
	for want, d := range map[int]vk.Description{
		1 << 27:       {MaxBuffer: 1 << 27, MaxAllocation: 1 << 31},
		1 << 30:       {MaxBuffer: 1<<32 - 1, MaxAllocation: 1 << 30},
		math.MaxInt32: {MaxBuffer: 1<<32 - 1, MaxAllocation: 1 << 40},
	} {
		if got := bindable(&d); got != want {
			t.Errorf("%d bytes can be bound, want %d", got, want)
		}
	}
}

// rounds reports whether a profile rounds activations.
func rounds(profile string) bool { return Tolerances[profile] > Tolerances[Base] }

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
