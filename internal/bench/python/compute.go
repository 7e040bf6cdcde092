package main

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"chorale/tools/python"
)

// work is timed here and in CPython: before runs once, code is measured.
type work struct {
	name         string
	bar          float64
	before, code string
}

var works = []work{
	{"loop over integers", 4, "", `
def f():
    x = 0
    for i in range(2_000_000):
        x += i & 7
    return x
f()`},
	{"while loop", 4, "", `
def f():
    i = x = 0
    while i < 1_000_000:
        x ^= i * 3
        i += 1
    return x
f()`},
	{"calls", 4, "", `
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
fib(25)`},
	{"objects and attributes", 4, `
class P:
    def __init__(self, x): self.x = x
    def step(self, n): self.x = (self.x * 31 + n) % 1000003
`, `
def f():
    p = P(1)
    for n in range(300_000): p.step(n)
    return p.x
f()`},
	{"lists, dicts and strings", 0, "", `
def f():
    d = {}
    for n in range(200_000):
        k = str(n % 1000)
        d[k] = d.get(k, 0) + len(k)
    return sorted(d.items())[:2]
f()`},
	{"floats: n-body", 4, `
def advance(bodies, steps):
    for _ in range(steps):
        for i, (a, va, ma) in enumerate(bodies):
            for b, vb, mb in bodies[i + 1:]:
                dx, dy, dz = a[0] - b[0], a[1] - b[1], a[2] - b[2]
                f = 0.001 * (dx * dx + dy * dy + dz * dz + 0.01) ** -1.5
                va[0] -= dx * mb * f; va[1] -= dy * mb * f; va[2] -= dz * mb * f
                vb[0] += dx * ma * f; vb[1] += dy * ma * f; vb[2] += dz * ma * f
        for r, v, m in bodies:
            r[0] += 0.001 * v[0]; r[1] += 0.001 * v[1]; r[2] += 0.001 * v[2]
`, `
advance([([float(i), i * .5, i * .25], [0.0, .1 * i, 0.0], 1.0 + i) for i in range(5)], 10_000)`},
	{"pandas: groupby and sum of 1e6 rows", 3, `
import numpy as np, pandas as pd
rng = np.random.default_rng(1)
df = pd.DataFrame({"k": rng.integers(0, 1000, 1_000_000).astype("int64"), "v": rng.random(1_000_000)})
df.groupby("k")["v"].sum()`, `
for _ in range(5): df.groupby("k")["v"].sum()`},
	{"numpy: 512 × 512 float64 matmul", 25, `
import numpy as np
rng = np.random.default_rng(1)
a, b = rng.random((512, 512)), rng.random((512, 512))
a @ b`, `
for _ in range(5): a @ b`},
	{"numpy: sort of 1e6", 0, `
import numpy as np
a = np.random.default_rng(1).random(1_000_000)`, `np.sort(a)[0]`},
	{"numpy: elementwise on 1e6", 0, `
import numpy as np
a = np.random.default_rng(1).random(1_000_000)`, `
for _ in range(5): float((np.sqrt(a) * a + 1).sum())`},
}

// measureCompute runs each work by turns here and in CPython, in CPU time.
func measureCompute(rounds int) ([]measurement, error) {
	peer, err := startPeer()
	if err != nil {
		return nil, err
	}
	defer peer.close()
	e, err := load()
	if err != nil {
		return nil, err
	}
	defer e.Close()
	var out []measurement
	for _, w := range works {
		m, err := w.measure(e, peer, rounds)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		out = append(out, m)
	}
	return out, nil
}

func (w work) measure(e *python.Engine, peer *native, rounds int) (measurement, error) {
	m := measurement{Name: w.name + ", to CPython " + peer.version, Unit: "×", Bar: w.bar}
	s, err := python.New(background, python.Options{Engine: e})
	if err != nil {
		return m, err
	}
	defer s.Close()
	if err := run(s, w.before); err != nil {
		return m, err
	}
	if _, err := peer.run(w.before); err != nil {
		return m, err
	}
	for i := range rounds + 1 {
		theirs, err := peer.run(w.code)
		if err != nil {
			return m, err
		}
		_, ours, err := spent(func() error { return run(s, w.code) })
		if err != nil {
			return m, err
		}
		if i > 0 { // the first is for the caches
			m.Values = append(m.Values, ours.Seconds()/theirs)
		}
	}
	return m, nil
}

//go:embed peer.py
var peerSource string

// native is a CPython of the machine, in a virtual environment with numpy and
// pandas.
type native struct {
	version string
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func startPeer() (*native, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	venv := filepath.Join(cache, "chorale", "bench-python")
	program := filepath.Join(venv, "bin", "python")
	if err := exec.Command(program, "-c", "import numpy, pandas").Run(); err != nil {
		fmt.Fprintln(os.Stderr, "installing numpy and pandas for CPython, the peer")
		for _, args := range [][]string{{"python3", "-m", "venv", venv}, {program, "-m", "pip", "install", "--quiet", "numpy", "pandas"}} {
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				return nil, fmt.Errorf("%s: %w (on Debian: apt-get install python3-venv)\n%s", strings.Join(args, " "), err, out)
			}
		}
	}
	p := &native{cmd: exec.Command(program, "-c", peerSource)}
	p.cmd.Env = append(os.Environ(), "OPENBLAS_NUM_THREADS=1")
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.version, err = p.out.ReadString('\n')
	p.version = strings.TrimSpace(p.version)
	return p, err
}

// run returns the CPU seconds that the code takes.
func (p *native) run(code string) (float64, error) {
	if _, err := fmt.Fprintf(p.in, "%d\n%s", len(code), code); err != nil {
		return 0, err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("CPython: %w", err)
	}
	return strconv.ParseFloat(strings.TrimSpace(line), 64)
}

func (p *native) close() error {
	p.in.Close()
	defer time.AfterFunc(5*time.Second, func() { p.cmd.Process.Kill() }).Stop()
	return p.cmd.Wait()
}
