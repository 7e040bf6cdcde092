package inference

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/gpu"
	"chorale/shaders"
)

var (
	someGPU = gpu.Device{UUID: "0000000000000000000000000000abcd", Name: "a card", Kind: "discrete", Driver: "a driver 1.2"}
	allOf   = []string{gpu.Base, gpu.Subgroup, gpu.Half}
)

// trial is a prover whose tests and measurements are made up and counted.
type trial struct {
	prover
	wrong   []string // profiles that fail
	broken  []string // profiles whose test breaks off
	slow    []string // profiles that do not finish in time
	mute    bool     // nothing can be measured
	tested  []string
	timed   int
	notices []string
}

func newTrial(dir string) *trial {
	t := &trial{}
	t.prover = prover{
		dir:    dir,
		notice: func(s string) { t.notices = append(t.notices, s) },
		test: func(_ context.Context, _ gpu.Device, profile string) (bool, error) {
			t.tested = append(t.tested, profile)
			if slices.Contains(t.broken, profile) {
				return false, gpu.ErrDeviceLost
			}
			if slices.Contains(t.slow, profile) {
				return false, gpu.ErrTimeout
			}
			return !slices.Contains(t.wrong, profile), nil
		},
		time: func(_ context.Context, _ gpu.Device, profiles []string) (map[string]float64, error) {
			t.timed++
			if t.mute {
				return nil, gpu.ErrOutOfMemory
			}
			return map[string]float64{gpu.Base: 1, gpu.Subgroup: 0.5}, nil
		},
	}
	return t
}

func (x *trial) expect(t *testing.T, d gpu.Device, want, profile string, tested ...string) {
	t.Helper()
	x.tested, x.notices = nil, nil
	got, err := x.choose(t.Context(), d, allOf, want)
	if err != nil || got != profile || !slices.Equal(x.tested, tested) {
		t.Errorf("asked for %q: chose %q (%v) after testing %q, want %q after %q", want, got, err, x.tested, profile, tested)
	}
}

// TestProofRemembered holds that a device is tested once for its driver, with
// what is not exact only when it is asked for.
func TestProofRemembered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "devices")
	x := newTrial(dir)
	x.expect(t, someGPU, "", gpu.Subgroup, gpu.Base, gpu.Subgroup)
	x.expect(t, someGPU, "", gpu.Subgroup)
	x.expect(t, someGPU, gpu.Half, gpu.Half, gpu.Half)
	x.expect(t, someGPU, gpu.Half, gpu.Half)
	x.expect(t, someGPU, gpu.Base, gpu.Base)
	newer := someGPU
	newer.Version++
	x.expect(t, newer, "", gpu.Subgroup, gpu.Base, gpu.Subgroup)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	var wrong *ChoiceError
	if _, err := x.choose(t.Context(), someGPU, allOf, gpu.Dot); !errors.As(err, &wrong) {
		t.Errorf("a profile that the device lacks: %v", err)
	}
}

// TestProofRecorded holds that what a test of all profiles finds takes the place of
// what was remembered, and is not tested again.
func TestProofRecorded(t *testing.T) {
	x := newTrial(t.TempDir())
	x.expect(t, someGPU, "", gpu.Subgroup, gpu.Base, gpu.Subgroup)
	for _, passes := range []bool{false, true} {
		y := newTrial(x.dir)
		if err := y.record(t.Context(), someGPU, map[string]bool{gpu.Base: true, gpu.Subgroup: passes, gpu.Half: true}); err != nil || y.tested != nil {
			t.Errorf("%v, tested %q", err, y.tested)
		}
		x.expect(t, someGPU, "", map[bool]string{true: gpu.Subgroup, false: gpu.Base}[passes])
		x.expect(t, someGPU, gpu.Half, gpu.Half)
	}
	soft := someGPU
	soft.Software = true
	y := newTrial(t.TempDir())
	if err := y.record(t.Context(), soft, map[string]bool{gpu.Base: true, gpu.Subgroup: true}); err != nil || y.timed > 0 {
		t.Errorf("of a software driver the base is measured beside what it emulates: %v", err)
	}
	for _, x := range []struct {
		d     gpu.Device
		texel bool
		want  string
	}{{soft, true, gpu.Texel}, {soft, false, gpu.Base}, {someGPU, true, gpu.Subgroup}} {
		y := newTrial(t.TempDir())
		if got := knownKernels(y.dir, x.d); got != "" {
			t.Errorf("before a test it is known that runs use %q", got)
		}
		err := y.record(t.Context(), x.d, map[string]bool{gpu.Base: true, gpu.Subgroup: true, gpu.Texel: x.texel})
		if got := knownKernels(y.dir, x.d); err != nil || got != x.want {
			t.Errorf("%+v: runs use %q (%v)", x, got, err)
		}
	}
}

// TestProofDamaged holds that a damaged file is no proof, and is replaced.
func TestProofDamaged(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"passed": 3}`, "null",
		`{"passed": {"base": true, "subgroup": true}, "chosen": "half"}`, `{"passed": {"base": true, "subgroup": true}, "chosen": "warp"}`} {
		x := newTrial(t.TempDir())
		path, err := x.path(someGPU)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := x.choose(t.Context(), someGPU, allOf, ""); err != nil || got != gpu.Subgroup {
				t.Errorf("%s: %q, %v", text, got, err)
			}
		}
		if x.timed != 1 {
			t.Errorf("%s: measured %d times", text, x.timed)
		}
	}
}

// TestProofFails holds what becomes of a profile that computes wrongly, breaks
// off, or can't be measured.
func TestProofFails(t *testing.T) {
	x := newTrial(t.TempDir())
	x.wrong = []string{gpu.Subgroup, gpu.Half}
	x.expect(t, someGPU, "", gpu.Base, gpu.Base, gpu.Subgroup)
	x.expect(t, someGPU, "", gpu.Base)
	x.expect(t, someGPU, gpu.Half, gpu.Base, gpu.Half)
	if len(x.notices) != 1 || !strings.Contains(x.notices[0], "base takes") {
		t.Errorf("notices %q", x.notices)
	}

	x = newTrial(t.TempDir())
	x.broken = []string{gpu.Subgroup}
	x.expect(t, someGPU, "", gpu.Base, gpu.Base, gpu.Subgroup)
	if len(x.notices) != 1 {
		t.Errorf("notices %q", x.notices)
	}
	x.broken = nil
	x.expect(t, someGPU, "", gpu.Subgroup, gpu.Subgroup)

	x = newTrial(t.TempDir())
	x.slow = []string{gpu.Subgroup}
	x.expect(t, someGPU, "", gpu.Base, gpu.Base, gpu.Subgroup)
	if len(x.notices) != 1 || !strings.Contains(x.notices[0], "in time") {
		t.Errorf("notices %q", x.notices)
	}
	x.expect(t, someGPU, "", gpu.Base) // a minute is not waited twice

	x = newTrial(t.TempDir())
	x.mute = true
	x.expect(t, someGPU, "", gpu.Base, gpu.Base, gpu.Subgroup)
	x.mute = false
	x.expect(t, someGPU, "", gpu.Subgroup)

	x = newTrial(t.TempDir())
	x.wrong = []string{gpu.Base}
	for range 2 {
		if got, err := x.choose(t.Context(), someGPU, allOf, ""); !failed(err) {
			t.Errorf("a base that fails: %q, %v", got, err)
		}
	}
	if !slices.Equal(x.tested, []string{gpu.Base}) {
		t.Errorf("tested %q", x.tested)
	}

	x = newTrial(filepath.Join(os.DevNull, "devices"))
	x.expect(t, someGPU, "", gpu.Subgroup, gpu.Base, gpu.Subgroup)
	if len(x.notices) != 1 || !strings.Contains(x.notices[0], "can't be remembered") {
		t.Errorf("notices %q", x.notices)
	}
}

// TestProofOnce holds that of several that start at once one tests, the others
// wait for what it finds, and one that is cancelled stops waiting. The locks are
// those among processes.
func TestProofOnce(t *testing.T) {
	dir := t.TempDir()
	var tests atomic.Int32
	started := make(chan struct{})
	var once sync.Once
	one := func() prover {
		x := newTrial(dir)
		x.test = func(context.Context, gpu.Device, string) (bool, error) {
			tests.Add(1)
			once.Do(func() { close(started) })
			time.Sleep(50 * time.Millisecond)
			return true, nil
		}
		return x.prover
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			p := one()
			if got, err := p.choose(t.Context(), someGPU, allOf, ""); err != nil || got != gpu.Subgroup {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := one()
	if _, err := p.choose(ctx, someGPU, allOf, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	all.Wait()
	if n := tests.Load(); n != 2 {
		t.Errorf("%d tests of 2 profiles", n)
	}
}

// TestProofOfDevice holds that the first model on a device leaves a proof behind,
// and that a wrong base means the CPU.
func TestProofOfDevice(t *testing.T) {
	drivers.Lavapipe.Use(t)
	d, err := pick(anySoftware)
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	var notices []string
	o := Options{Device: anySoftware, Cache: cache, Threads: 1, Context: 64, Notice: func(s string) { notices = append(notices, s) }}
	if i := openModel(t, tinyA+"hf", o).Info(); i.Backend != "vulkan" {
		t.Errorf("runs on %s", i.Device)
	}
	path, err := (&prover{dir: cache}).path(d)
	if err != nil {
		t.Fatal(err)
	}
	r := readProof(path)
	if !r.covers([]string{gpu.Base, gpu.Texel}) || !r.Passed[gpu.Texel] || len(notices) > 0 {
		t.Fatalf("%+v, notices %q", r, notices)
	}
	if err := writeProof(path, proof{Passed: map[string]bool{gpu.Base: false}}); err != nil {
		t.Fatal(err)
	}
	if i := openModel(t, tinyA+"hf", o).Info(); i.Backend != "ref" || len(notices) != 1 || !strings.Contains(notices[0], "self-test") {
		t.Errorf("with a base that fails it runs on %s, notices %q", i.Device, notices)
	}
}

// TestProofMeasured tests and measures the profiles of real drivers, which a run
// does only where the device is no software: the choice follows what was measured
// and is read the next time, a damaged file is found out and replaced, and a
// profile that computes wrongly is not taken.
func TestProofMeasured(t *testing.T) {
	for _, driver := range drivers.All {
		t.Run(driver.Name, func(t *testing.T) {
			driver.Use(t)
			d, err := pick(anySoftware)
			if err != nil {
				t.Fatal(err)
			}
			have := []string{gpu.Base, gpu.Subgroup} // the others take SwiftShader minutes to compile
			x := newMeasured(t)
			chosen := x.expect(t, d, have, gpu.Base, gpu.Subgroup)
			path, err := x.path(d)
			if err != nil {
				t.Fatal(err)
			}
			r := readProof(path)
			if len(r.Times) != 2 || r.Times[gpu.Base] != 1 || r.Times[gpu.Subgroup] <= 0 || chosen != fastest(r.Times) || r.Chosen != chosen {
				t.Errorf("chose %q by %+v", chosen, r)
			}
			if again := x.expect(t, d, have); again != chosen {
				t.Errorf("chose %q, and %q the next time", chosen, again)
			}
			if driver.Name != drivers.Lavapipe.Name {
				return
			}
			if err := os.Truncate(path, 40); err != nil {
				t.Fatal(err)
			}
			x.expect(t, d, have, gpu.Base, gpu.Subgroup)

			spoil(t, &shaders.LinearSubgroup) // another proof, by the hash of the kernels
			if chosen := x.expect(t, d, have, gpu.Base, gpu.Subgroup); chosen != gpu.Base {
				t.Errorf("chose %q, which computes wrongly", chosen)
			}
			if got, err := x.choose(t.Context(), d, have, gpu.Subgroup); err != nil || got != gpu.Base || len(x.notices) != 1 {
				t.Errorf("asked for kernels that compute wrongly: %q, %v, notices %q", got, err, x.notices)
			}
		})
	}
}

// newMeasured is a trial whose tests and measurements are real, and counted.
func newMeasured(t *testing.T) *measured {
	x := &measured{}
	x.prover = prover{
		dir: t.TempDir(), notice: func(s string) { x.notices = append(x.notices, s) }, time: timeProfiles,
		test: func(ctx context.Context, d gpu.Device, profile string) (bool, error) {
			x.tested = append(x.tested, profile)
			return profileAgrees(ctx, d, profile, nil)
		},
	}
	return x
}

type measured struct {
	prover
	tested, notices []string
}

// expect chooses, and wants these profiles to be tested for that.
func (x *measured) expect(t *testing.T, d gpu.Device, have []string, tested ...string) string {
	t.Helper()
	x.tested = nil
	chosen, err := x.choose(t.Context(), d, have, "")
	if err != nil || !slices.Equal(x.tested, tested) || len(x.notices) > 0 {
		t.Fatalf("chose %q (%v) after testing %q, want %q; notices %q", chosen, err, x.tested, tested, x.notices)
	}
	return chosen
}

// spoil makes a kernel subtract where it should add, until the test ends.
func spoil(t *testing.T, k *shaders.Kernel) {
	t.Helper()
	const header, add, subtract = 20, 129, 131
	right, wrong := k.SPIRV, slices.Clone(k.SPIRV)
	k.SPIRV = wrong
	t.Cleanup(func() { k.SPIRV = right })
	changed := 0
	for i := header; i < len(wrong); i += 4 * int(binary.LittleEndian.Uint16(wrong[i+2:])) {
		if binary.LittleEndian.Uint16(wrong[i:]) == add {
			binary.LittleEndian.PutUint16(wrong[i:], subtract)
			changed++
		}
	}
	if changed == 0 {
		t.Fatalf("%s adds nothing", k.Name)
	}
}

// TestWrongBase holds that a model on a GPU whose base computes wrongly runs on the
// CPU, now and the next time.
func TestWrongBase(t *testing.T) {
	drivers.Lavapipe.Use(t)
	spoil(t, &shaders.ExpertDown)
	cache := t.TempDir()
	for range 2 {
		var notices []string
		o := Options{Device: anySoftware, Cache: cache, Threads: 1, Context: 64, Notice: func(s string) { notices = append(notices, s) }}
		if i := openModel(t, tinyA+"hf", o).Info(); i.Backend != "ref" || len(notices) != 1 || !strings.Contains(notices[0], "self-test") {
			t.Errorf("it runs on %s, notices %q", i.Device, notices)
		}
	}
}
