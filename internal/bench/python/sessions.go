package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"time"

	"chorale/tools/python"
)

var background = context.Background()

// load loads the full interpreter, which `agent setup python` has prepared.
func load() (*python.Engine, error) { return python.Load(background, "", python.Full) }

// spent runs f and returns the wall time and the process's CPU time.
func spent(f func() error) (wall, cpu time.Duration, err error) {
	from, used := time.Now(), cpuTime()
	err = f()
	return time.Since(from), cpuTime() - used, err
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// measureLoad loads the engine once in each of some fresh processes.
func measureLoad(rounds int) ([]measurement, error) {
	if os.Getenv("BENCH_LOAD") != "" {
		return loadOnce()
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var all []measurement
	for range rounds {
		cmd := exec.Command(self, "-only", "load", "-json")
		cmd.Env, cmd.Stderr = append(os.Environ(), "BENCH_LOAD=1"), os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, err
		}
		var m []measurement
		if err := json.Unmarshal(out, &m); err != nil {
			return nil, err
		}
		for i := range m {
			if i == len(all) {
				all = append(all, m[i])
				continue
			}
			all[i].Values = append(all[i].Values, m[i].Values...)
		}
	}
	return all, nil
}

func loadOnce() ([]measurement, error) {
	before, err := memory()
	if err != nil {
		return nil, err
	}
	var e *python.Engine
	wall, cpu, err := spent(func() (err error) { e, err = load(); return err })
	if err != nil {
		return nil, err
	}
	defer e.Close()
	after, err := memory()
	return []measurement{
		{Name: "engine loaded from the cache", Unit: "s", Bar: 2, Values: []float64{wall.Seconds()}},
		{Name: "engine loaded from the cache, CPU", Unit: "s", Values: []float64{cpu.Seconds()}},
		{Name: "engine in memory", Unit: "MiB", Values: []float64{after.resident - before.resident}},
	}, err
}

const frame = `import pandas as pd
pd.DataFrame({"k": list("abcabc"), "v": range(6)}).groupby("k").sum()`

// The cells are what a model may well run a thousand of.
var (
	lines = []string{
		"x = 1 + 1",
		"print('hello')",
		"x * 21",
		"text = 'a,b,c'",
		"text.upper().split(',')",
		"import math",
		"round(math.sin(x), 6)",
		"x, text",
	}
	functions = []string{
		"total = sum(i * i for i in range(100))\ntotal",
		"d = {k: len(k) for k in 'alpha beta gamma'.split()}\nd",
		"def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)\nf(8)",
		"for i in range(3):\n    if i % 2: print(i)",
		"class P:\n    def __init__(self, x): self.x = x\nP(3).x",
	}
)

func measureSessions(rounds int) ([]measurement, error) {
	e, err := load()
	if err != nil {
		return nil, err
	}
	defer e.Close()
	start := measurement{Name: "new session, numpy, pandas and pyplot imported", Unit: "ms", Bar: 30}
	startCPU := measurement{Name: "the same, CPU", Unit: "ms"}
	first := measurement{Name: "new session to its first DataFrame", Unit: "ms", Bar: 60}
	firstCPU := measurement{Name: "the same, CPU", Unit: "ms"}
	for range 10 * rounds {
		var s *python.Session
		wall, cpu, err := spent(func() (err error) {
			s, err = python.New(background, python.Options{Engine: e})
			return err
		})
		if err != nil {
			return nil, err
		}
		more, moreCPU, err := spent(func() error { return run(s, frame) })
		if err := s.Close(); err != nil {
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		start.Values, startCPU.Values = append(start.Values, ms(wall)), append(startCPU.Values, ms(cpu))
		first.Values, firstCPU.Values = append(first.Values, ms(wall+more)), append(firstCPU.Values, ms(cpu+moreCPU))
	}
	out := []measurement{start, startCPU, first, firstCPU}
	m, err := measureCells(e, rounds, "warm cell of a line", lines)
	if err != nil {
		return nil, err
	}
	m[0].Bar, m[1].Bar = 0.5, 3
	more, err := measureCells(e, rounds, "warm cell with a function, a class or a comprehension", functions)
	return append(append(out, m...), more...), err
}

// measureCells is the median and the p99 of a thousand cells.
func measureCells(e *python.Engine, rounds int, name string, cells []string) ([]measurement, error) {
	s, err := python.New(background, python.Options{Engine: e})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	half := measurement{Name: name + ", p50 of 1,000", Unit: "ms"}
	most := measurement{Name: name + ", p99 of 1,000", Unit: "ms"}
	for range rounds {
		var took []float64
		for i := range 1000 {
			wall, _, err := spent(func() error { return run(s, cells[i%len(cells)]) })
			if err != nil {
				return nil, err
			}
			took = append(took, ms(wall))
		}
		half.Values, most.Values = append(half.Values, percentile(took, 50)), append(most.Values, percentile(took, 99))
	}
	return []measurement{half, most}, nil
}

// run runs a cell that must succeed.
func run(s *python.Session, code string) error {
	out, err := s.Run(background, code)
	if err == nil && out.Failed() {
		err = fmt.Errorf("%s\n%s", code, out.Text)
	}
	return err
}
