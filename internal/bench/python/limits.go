package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chorale/internal/bench/page"
	"chorale/tools"
	"chorale/tools/python"
)

// loops are cells that do not end, each in another way: in Python code, in C
// code, in what one instruction does, asleep, and in what runs when it is ended.
var loops = []struct{ name, code string }{
	{"while", "while True: pass"},
	{"C code", "sum(range(10 ** 13))"},
	{"big integers", "7 ** (10 ** 8)"},
	{"regular expression", "import re\nre.match(r'(a+)+b', 'a' * 60)"},
	{"sleep", "import time\ntime.sleep(3600)"},
	{"swallowed exceptions", "while True:\n    try:\n        while True: pass\n    except BaseException: pass"},
	{"finally", "try:\n    while True: pass\nfinally:\n    while True: pass"},
	{"repr", "class C:\n    def __repr__(self):\n        while True: pass\nC()"},
	{"asyncio", "import asyncio\nasync def f():\n    while True: await asyncio.sleep(0)\nawait f()"},
	{"sorting", "while True: sorted(range(10 ** 6), key=lambda x: -x)"},
	{"numpy", "import numpy as np\na = np.ones((600, 600))\nwhile True: a = a @ a * 1e-3"},
	{"copies of 200 MB", "b = bytearray(200_000_000)\nwhile True: c = b[:]"},
	{"fresh blocks of 200 MB", "while True: bytearray(200_000_000)"},
	{"moves of 200 MB", "b = bytearray(200_000_000)\nwhile True: b[:-1] = b[1:]"},
	{"growing list", "x = []\nwhile True:\n    x.append(0)\n    if len(x) > 10 ** 7: x.clear()"},
	{"recursion", "def f():\n    try: f()\n    finally: f()\nf()"},
	{"output", "while True: print('x' * 1000)"},
	{"random bytes", "import os\nwhile True: os.urandom(100_000_000)"},
	{"large files", "block = bytes(100_000_000)\nwhile True:\n    with open('f', 'wb', 0) as f: f.write(block)\n    open('f', 'rb').read()"},
	{"files", "while True:\n    with open('f', 'wb') as f: f.write(bytes(10 ** 6))"},
	{"sympy", "from sympy import *\nx = symbols('x')\nwhile True: integrate(sin(x) ** 9 * exp(x), x)"},
}

const deadline = 400 * time.Millisecond

func measureLimits(rounds int) ([]measurement, error) {
	e, err := load()
	if err != nil {
		return nil, err
	}
	defer e.Close()
	late := measurement{Name: "stopped after the deadline, of all loops", Unit: "ms", Bar: 100, Worst: true}
	pause := measurement{Name: "longest pause of Go's collector in each", Unit: "ms", Bar: 20, Worst: true}
	for _, l := range loops {
		var lates, pauses []float64
		for range rounds {
			after, _, err := overrun(e, l.code, false)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", l.name, err)
			}
			_, longest, err := overrun(e, l.code, true)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", l.name, err)
			}
			lates, pauses = append(lates, after), append(pauses, longest)
		}
		fmt.Fprintf(os.Stderr, "  %s: at most %s ms late, pauses of %s ms\n", l.name, page.Figure(slices.Max(lates)), page.Figure(slices.Max(pauses)))
		late.Values, pause.Values = append(late.Values, lates...), append(pause.Values, pauses...)
	}
	control := measurement{Name: "the same with a loop of Go in the guest's place", Unit: "ms"}
	for range 2 * rounds {
		control.Values = append(control.Values, spin())
	}
	return []measurement{late, pause, control}, nil
}

// spin is the longest pause while Go code loops: what the machine itself does.
func spin() float64 {
	var stop atomic.Bool
	var looping sync.WaitGroup
	before := pauses()
	looping.Go(func() {
		for !stop.Load() {
		}
	})
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		runtime.GC()
	}
	stop.Store(true)
	looping.Wait()
	return longest(before, pauses())
}

// overrun runs a cell past its deadline and returns how late it was stopped,
// and the longest pause of the collector if it is kept busy meanwhile, in ms.
func overrun(e *python.Engine, code string, collect bool) (late, pause float64, err error) {
	s, err := python.New(background, python.Options{Engine: e, Limits: tools.Limits{Time: deadline, Memory: 1 << 30}})
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	done := make(chan struct{})
	var collector sync.WaitGroup
	before := pauses()
	if collect {
		collector.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(5 * time.Millisecond):
					runtime.GC()
				}
			}
		})
	}
	from := time.Now()
	out, err := s.Run(background, code)
	late = ms(time.Since(from) - deadline)
	close(done)
	collector.Wait()
	if err == nil && !strings.Contains(out.Lost, "time limit") {
		err = fmt.Errorf("it was not stopped: %s", out.Text)
	}
	return max(0, late), longest(before, pauses()), err
}

// pauses is how long the collector has stopped all of Go, the time until the
// guests stood still included.
func pauses() *metrics.Float64Histogram {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(sample)
	return sample[0].Value.Float64Histogram()
}

// longest is the upper bound of the highest class with a new pause, in ms.
func longest(before, after *metrics.Float64Histogram) float64 {
	for i := len(after.Counts) - 1; i >= 0; i-- {
		if after.Counts[i] > before.Counts[i] {
			return 1e3 * after.Buckets[i+1]
		}
	}
	return 0
}
