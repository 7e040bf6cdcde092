package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"chorale/tools/python"
)

// use is what this process has of the machine's memory, in MiB.
type use struct {
	resident float64 // as the system counts it: a page of a file that is mapped n times counts n times
	share    float64 // each page once
}

// memory reads it from Linux, after a garbage collection.
func memory() (u use, err error) {
	runtime.GC()
	debug.FreeOSMemory()
	f, err := os.Open("/proc/self/smaps_rollup")
	if err != nil {
		return u, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		var kib float64
		if _, err := fmt.Sscan(value, &kib); err != nil {
			continue
		}
		switch name {
		case "Rss":
			u.resident = kib / 1024
		case "Pss":
			u.share = kib / 1024
		}
	}
	return u, lines.Err()
}

const atOnce = 30

// measureMemory opens 30 sessions at once, and then 1,000 one after the other.
func measureMemory(int) ([]measurement, error) {
	e, err := load()
	if err != nil {
		return nil, err
	}
	defer e.Close()
	before, err := memory()
	if err != nil {
		return nil, err
	}
	var open []*python.Session
	for range atOnce {
		s, err := python.New(background, python.Options{Engine: e})
		if err != nil {
			return nil, err
		}
		open = append(open, s)
		if err := run(s, frame); err != nil {
			return nil, err
		}
	}
	full, err := memory()
	if err != nil {
		return nil, err
	}
	for _, s := range open {
		if err := s.Close(); err != nil {
			return nil, err
		}
	}
	for range 1000 {
		s, err := python.New(background, python.Options{Engine: e})
		if err != nil {
			return nil, err
		}
		if err := run(s, "import numpy as np\nblock = np.ones(1_000_000)\nfloat(block.sum())"); err != nil {
			return nil, err
		}
		if err := s.Close(); err != nil {
			return nil, err
		}
	}
	after, err := memory()
	return []measurement{
		{Name: fmt.Sprintf("%d sessions after a DataFrame each, beyond the engine", atOnce), Unit: "MiB", Bar: 1024, Values: []float64{full.share - before.share}},
		{Name: "the same, pages that they share counted for each", Unit: "MiB", Values: []float64{full.resident - before.resident}},
		{Name: "left after 1,000 more sessions", Unit: "MiB", Bar: 64, Values: []float64{max(0, after.resident-before.resident)}},
	}, err
}
