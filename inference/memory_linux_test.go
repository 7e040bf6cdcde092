package inference

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
)

// memoryCases are ways to run a model of a gigabyte: beside that, what a driver keeps
// of the memory it compiled in is little.
var memoryCases = map[string]Options{
	"CPU":    {Device: "cpu"},
	"Vulkan": {Device: "software"},
	"both":   {Device: "software", Memory: 620e6},
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
	const heavy = "synth:20b?hidden=512&width=1024&experts=512&heads=8&kv-heads=2&layers=2&vocab=65536"
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

// TestAvailable reads the memory of systems with and without control groups.
func TestAvailable(t *testing.T) {
	const meminfo = "MemTotal:       24000000 kB\nMemFree: 1 kB\nMemAvailable:   20000000 kB\n"
	for name, x := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing known": {nil, 0},
		"no groups":     {map[string]string{"proc/meminfo": meminfo}, 20480000000},
		"no limit": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/user\n",
			"sys/fs/cgroup/user/memory.max": "max\n"}, 20480000000},
		"a limit, files among what is used": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "8000000000\n", "sys/fs/cgroup/memory.current": "3000000000\n",
			"sys/fs/cgroup/memory.stat": "anon 1\nfile_mapped 5\nfile 1000000000\n"}, 6e9},
		"a limit higher up": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "1:name=x:/y\n0::/a/b/c\n",
			"sys/fs/cgroup/a/memory.max": "2000000000", "sys/fs/cgroup/a/b/memory.max": "9000000000"}, 2e9},
		"a limit that is spent": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n",
			"sys/fs/cgroup/a/memory.max": "100", "sys/fs/cgroup/a/memory.current": "200"}, 1},
	} {
		root := t.TempDir()
		for path, text := range x.files {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := availableBelow(root); got != x.want {
			t.Errorf("%s: %d bytes, want %d", name, got, x.want)
		}
	}
	if got := availableMemory(); got < 1e8 || got > 1e14 {
		t.Errorf("this system has %d bytes", got)
	}
}
