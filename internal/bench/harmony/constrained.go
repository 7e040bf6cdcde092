package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// measurement is a line that harmony/constrain's TestMeasure and peers.py write:
// how the times of one implementation are spread over the corpus of schemas.
type measurement struct {
	Implementation string
	Metric         string // with its unit at the end
	N              int
	P50, P99, Max  float64
}

// constrained holds them for every round.
type constrained [][]measurement

// constrainedPackage has both sides of the comparison.
const constrainedPackage = "harmony/constrain"

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
	source := filepath.Join(filepath.FromSlash(constrainedPackage), "testdata")
	fmt.Fprintln(os.Stderr, "constrained generation; one of its peers needs PyTorch, some GB")
	if err := buildOnce("constrain", source, folder, buildPython); err != nil {
		return nil, err
	}
	var all constrained
	for round := range rounds {
		fmt.Fprintf(os.Stderr, "schemas, round %d of %d\n", round+1, rounds)
		lines, err := constrainedRound(folder)
		if err != nil {
			return nil, err
		}
		all = append(all, lines)
	}
	return all, nil
}

func constrainedRound(folder string) ([]measurement, error) {
	ours, given := filepath.Join(folder, "ours.jsonl"), filepath.Join(folder, "input.json")
	test := exec.Command("go", "test", "-buildvcs=false", "-count=1", "-timeout=30m", "-run=^TestMeasure$", "./"+constrainedPackage)
	test.Env = append(os.Environ(), "AGENT_BENCH_CONSTRAIN="+ours, "AGENT_BENCH_PEERS="+given)
	if out, err := test.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(test.Args, " "), err, out)
	}
	peers := exec.Command(filepath.Join(folder, "venv", "bin", "python"), filepath.Join(folder, "peers.py"), given)
	peers.Env = append(os.Environ(), "OMP_NUM_THREADS=1")
	theirs, err := peers.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) { // else its warnings about schemas are many
		err = fmt.Errorf("%w\n%s", err, failed.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(peers.Args, " "), err)
	}
	mine, err := os.ReadFile(ours)
	if err != nil {
		return nil, err
	}
	var all []measurement
	for s := bufio.NewScanner(bytes.NewReader(append(mine, theirs...))); s.Scan(); {
		var m measurement
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			return nil, err
		}
		all = append(all, m)
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
			return figure(median(x))
		}
		fmt.Fprintf(b, "| %s, %s | %d | %s | %s | %s |\n", m.Implementation, strings.ReplaceAll(m.Metric, " us", " µs"), m.N,
			over(func(m measurement) float64 { return m.P50 }), over(func(m measurement) float64 { return m.P99 }), over(func(m measurement) float64 { return m.Max }))
	}
}
