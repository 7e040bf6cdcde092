package inference

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/gpu"
)

// middling is a model whose experts weigh enough to be worth leaving out.
const middling = "synth:20b?hidden=256&width=256&layers=4&experts=16&heads=8&kv-heads=2&vocab=1024"

// say returns what a model says greedily, in two sessions at a time.
func say(t *testing.T, o Options) (said [][]uint32) {
	t.Helper()
	m := openModel(t, middling, o)
	prompts := [][]uint32{{1, 2, 3, 4, 5, 6, 7}, {900, 800, 7, 6}}
	said = make([][]uint32, len(prompts))
	done := make(chan error, len(prompts))
	for i, prompt := range prompts {
		s, err := m.NewSession(Sampling{})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			var failed error
			for id, err := range s.Generate(t.Context(), prompt, nil, nil) {
				if failed = err; err != nil {
					break
				}
				if said[i] = append(said[i], id); len(said[i]) == 6 {
					break
				}
			}
			done <- failed
		}()
	}
	for range prompts {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	return said
}

// TestHeavyOffload bounds the device's memory so that the experts of some layers stay
// on the host. The model says what it says without the bound, and on the CPU.
func TestHeavyOffload(t *testing.T) {
	if golden.Race {
		t.Skip("comparisons of what is said run without the race detector")
	}
	drivers.Lavapipe.Use(t)
	o := Options{Device: "software", KV: "f32", Context: 100, Sessions: 2, Threads: 1}
	whole, err := Plan(t.Context(), middling, o)
	if err != nil {
		t.Fatal(err)
	}
	if whole.DeviceLayers != 4 {
		t.Fatalf("without a bound: %+v", whole)
	}
	want := say(t, Options{Device: "cpu", Threads: 1, Context: 100})
	for _, layers := range []int{2, 0} {
		var notices []string
		o.Notice = func(text string) { notices = append(notices, text) }
		o.Memory = whole.DeviceBytes
		for _, i := range whole.Items {
			if strings.HasPrefix(i.Name, "experts") {
				o.Memory -= i.Bytes * int64(4-layers) / 4
			}
		}
		if p, err := Plan(t.Context(), middling, o); err != nil || p.DeviceLayers != layers {
			t.Fatalf("with %d bytes: %+v, %v", o.Memory, p, err)
		}
		if got := say(t, o); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("with the experts of %d layers on the device the model says %v, want %v", layers, got, want)
		}
		if !strings.Contains(strings.Join(notices, "\n"), "computed on the CPU") {
			t.Errorf("with the experts of %d layers on the device, notices are %q", layers, notices)
		}
	}
	o.Memory += whole.DeviceBytes / 4
	for _, o.Rehearse = range []string{"submit:lost:7", "wait:timeout:5+"} { // anew, and on the CPU
		var notices []string
		o.Notice = func(text string) { notices = append(notices, text) }
		if got := say(t, o); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("after %s the model says %v, want %v", o.Rehearse, got, want)
		}
		if text := strings.Join(notices, " "); !strings.Contains(text, "computed on the CPU") || !strings.Contains(text, "The GPU failed") {
			t.Errorf("after %s notices are %q", o.Rehearse, text)
		}
	}
	o.Rehearse, o.Memory = "", o.Memory/4
	var short *DoesNotFit
	if _, err := Open(t.Context(), middling, o); !errors.As(err, &short) || !slices.Contains(short.Fits, "the CPU (device: cpu)") {
		t.Errorf("on a device of %d bytes: %v", o.Memory, err)
	}
}

// TestPlanNamesDense plans for a device that has room for the dense matrices only
// once they are converted. The error says so, and no more when they are.
func TestPlanNamesDense(t *testing.T) {
	drivers.Lavapipe.Use(t)
	o := Options{Device: "software", Context: 100, Dense: "q8_0"}
	p, err := Plan(t.Context(), middling, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Memory = p.DeviceBytes
	for _, i := range p.Items {
		if strings.HasPrefix(i.Name, "experts") {
			o.Memory -= i.Bytes
		}
	}
	const dense = "dense matrices in Q8_0 (dense: q8_0)"
	var short *DoesNotFit
	o.Dense = ""
	if _, err := Plan(t.Context(), middling, o); !errors.As(err, &short) || !slices.Contains(short.Fits, dense) {
		t.Errorf("without the conversion: %v", err)
	}
	o.Dense = "q8_0"
	if _, err := Plan(t.Context(), middling, o); err != nil {
		t.Errorf("with it: %v", err)
	}
	o.Memory--
	if _, err := Plan(t.Context(), middling, o); !errors.As(err, &short) || slices.Contains(short.Fits, dense) {
		t.Errorf("with it, and a byte too few: %v", err)
	}
}

// TestMemoryNarrows holds that a bound on a device's memory takes no more of it than
// its driver says it has, where that is the device's own.
func TestMemoryNarrows(t *testing.T) {
	m := openModel(t, tinyA+"hf", Options{Device: "cpu", Threads: 1})
	for _, x := range []struct {
		d      gpu.Device
		memory int64
		want   int64
	}{
		{gpu.Device{Memory: 8e9}, 6e9, 6e9},
		{gpu.Device{Memory: 8e9}, 60e9, 8e9},
		{gpu.Device{}, 60e9, 60e9}, // the driver does not say
		{gpu.Device{Memory: 8e9, Shared: true}, 60e9, 60e9},
		{gpu.Device{Memory: 8e9, Software: true}, 60e9, 60e9},
	} {
		if p, err := m.planDevice(x.d, Options{Memory: x.memory}, 0); err != nil || p.Limit != x.want {
			t.Errorf("%+v: %+v, %v", x, p, err)
		}
	}
}
