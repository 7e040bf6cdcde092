package inference

import (
	"math"
	"runtime/debug"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
)

// TestHeavyMemory fills the context of a model and compares what the process
// takes with what was planned: on the CPU, on Vulkan, and on both.
func TestHeavyMemory(t *testing.T) {
	if golden.Race {
		t.Skip("memory is measured without the race detector")
	}
	drivers.Lavapipe.Use(t)
	const heavy = "synth:20b?hidden=512&width=512&experts=512&heads=8&kv-heads=2&layers=2&vocab=32768"
	warm := openModel(t, "synth:tiny-a", Options{Device: "software", Context: 516})
	fill(t, warm) // with the driver's libraries
	if err := warm.Close(); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"CPU":    {Device: "cpu"},
		"Vulkan": {Device: "software"},
		"both":   {Device: "software", Memory: 330e6},
	} {
		t.Run(name, func(t *testing.T) {
			o.Context, o.Threads = 516, 1
			p, err := Plan(t.Context(), heavy, o)
			if err != nil {
				t.Fatal(err)
			}
			if (p.DeviceLayers == 1) != (o.Memory > 0) {
				t.Fatalf("experts of %d layers on the device", p.DeviceLayers)
			}
			before := taken()
			m := openModel(t, heavy, o)
			fill(t, m)
			got, want := float64(taken()-before), float64(p.Total()-program)
			t.Logf("planned %.1f MB, taken %.1f MB", want/1e6, got/1e6)
			if math.Abs(got/want-1) > 0.05 {
				t.Errorf("%.0f bytes are taken, %.0f are planned", got, want)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// fill runs as many tokens as the context takes.
func fill(t *testing.T, m *Model) {
	t.Helper()
	s, err := m.NewSession(Sampling{})
	if err != nil {
		t.Fatal(err)
	}
	prompt := make([]uint32, m.Info().Context-1)
	for i := range prompt {
		prompt[i] = uint32(i * 7919 % 256)
	}
	for _, err := range s.Generate(t.Context(), prompt, nil, nil) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
}

// taken is how much of the process is in memory, without garbage.
func taken() int64 {
	debug.FreeOSMemory()
	return number("/proc/self/status", "VmRSS:") * 1024
}
