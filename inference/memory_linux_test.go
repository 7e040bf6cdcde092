package inference

import (
	"math"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
)

// memoryCases are ways to run a model of half a gigabyte.
var memoryCases = map[string]Options{
	"CPU":    {Device: "cpu"},
	"Vulkan": {Device: "software"},
	"both":   {Device: "software", Memory: 370e6},
}

// TestHeavyMemory fills the context of a model and compares what the process
// takes with what was planned: on the CPU, on Vulkan, and on both. Each is a
// process of its own: drivers and allocators keep what an earlier case used.
func TestHeavyMemory(t *testing.T) {
	if golden.Race {
		t.Skip("memory is measured without the race detector")
	}
	drivers.Lavapipe.Use(t)
	const variable = "AGENT_TEST_MEMORY"
	if name := os.Getenv(variable); name != "" {
		measureMemory(t, memoryCases[name])
		return
	}
	for name := range memoryCases {
		cmd := exec.Command(os.Args[0], "-test.run=^TestHeavyMemory$", "-test.v")
		cmd.Env = append(os.Environ(), variable+"="+name)
		out, err := cmd.CombinedOutput()
		t.Logf("%s: %v\n%s", name, err, out)
		if err != nil || !strings.Contains(string(out), "MB are planned") {
			t.Errorf("%s failed", name)
		}
	}
}

func measureMemory(t *testing.T, o Options) {
	const heavy = "synth:20b?hidden=512&width=512&experts=512&heads=8&kv-heads=2&layers=2&vocab=65536"
	o.Context, o.Threads = 516, 1
	p, err := Plan(t.Context(), heavy, o)
	if err != nil {
		t.Fatal(err)
	}
	if (p.DeviceLayers == 1) != (o.Memory > 0) {
		t.Fatalf("experts of %d layers on the device", p.DeviceLayers)
	}
	warm := openModel(t, "synth:tiny-a", Options{Device: o.Device, Context: o.Context})
	fill(t, warm) // with the driver's libraries, which are code
	if err := warm.Close(); err != nil {
		t.Fatal(err)
	}
	before := taken()
	fill(t, openModel(t, heavy, o))
	got, want := float64(taken()-before), float64(p.Total()-program)
	t.Logf("%.1f MB are taken, %.1f MB are planned", got/1e6, want/1e6)
	if math.Abs(got/want-1) > 0.05 {
		t.Error("that is more than 5 % apart")
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
