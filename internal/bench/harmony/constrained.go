package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"chorale/internal/bench/page"
)

// constrained holds them for every round.
type constrained [][]measurement

// measureConstrained lets our matcher and its peers work through the corpus by
// turns.
func measureConstrained(cache string, rounds int) (constrained, error) {
	if rounds == 0 {
		return nil, nil
	}
	if _, err := exec.LookPath("python3"); err != nil {
		fmt.Fprintln(os.Stderr, "no python3, so nothing on constrained generation")
		return nil, nil
	}
	folder := filepath.Join(cache, "constrain")
	source := filepath.Join(filepath.FromSlash(peersSource), "constrain")
	fmt.Fprintln(os.Stderr, "constrained generation; one of its peers needs PyTorch, some GB")
	if err := buildOnce("constrain", source, folder, buildPython); err != nil {
		return nil, err
	}
	input := filepath.Join(folder, "input.json")
	if err := writePeerInput(input); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var all constrained
	for round := range rounds {
		fmt.Fprintf(os.Stderr, "schemas, round %d of %d\n", round+1, rounds)
		lines, err := constrainedRound(
			exec.Command(self, "schemas"),
			exec.Command(filepath.Join(folder, "venv", "bin", "python"), filepath.Join(folder, "peer.py"), input))
		if err != nil {
			return nil, err
		}
		all = append(all, lines)
	}
	return all, nil
}

// constrainedRound collects what the programs write, a measurement a line.
func constrainedRound(programs ...*exec.Cmd) ([]measurement, error) {
	var all []measurement
	for _, p := range programs {
		p.Env = append(os.Environ(), "OMP_NUM_THREADS=1")
		out, err := p.Output()
		var failed *exec.ExitError
		if errors.As(err, &failed) { // else the peers' warnings about schemas are many
			err = fmt.Errorf("%w\n%s", err, failed.Stderr)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.Join(p.Args, " "), err)
		}
		for line := range bytes.Lines(out) {
			var m measurement
			if err := json.Unmarshal(line, &m); err != nil {
				return nil, fmt.Errorf("%s: %w", strings.Join(p.Args, " "), err)
			}
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the corpus of schemas gave no measurement")
	}
	return all, nil
}

// write writes the table: a row for each implementation and metric, with the
// medians over the rounds.
func (c constrained) write(b *strings.Builder) {
	if len(c) == 0 {
		return
	}
	fmt.Fprintf(b, "\n| constrained generation | of | p50 | p99 | max |\n|---|---|---|---|---|\n")
	for i, m := range c[0] {
		over := func(of func(measurement) float64) string {
			var x []float64
			for _, round := range c {
				x = append(x, of(round[i]))
			}
			return page.Figure(median(x))
		}
		fmt.Fprintf(b, "| %s, %s | %d | %s | %s | %s |\n", m.Implementation, strings.ReplaceAll(m.Metric, " us", " µs"), m.N,
			over(func(m measurement) float64 { return m.P50 }), over(func(m measurement) float64 { return m.P99 }), over(func(m measurement) float64 { return m.Max }))
	}
}
