// Command python measures the Python sandbox: how fast it starts and answers,
// what it takes beside CPython on the same machine, and how well its limits
// hold. It writes its table into docs/benchmarks.md.
//
// `make bench-python` runs it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
)

// measurement is a line of the table: one figure, taken several times.
type measurement struct {
	Name   string
	Unit   string
	Bar    float64 // that the figure must not exceed; 0: none
	Worst  bool    // whether the bar is for the largest value, not for the median
	Values []float64
}

// A part is measured in a process of its own.
var parts = []struct {
	name    string
	measure func(rounds int) ([]measurement, error)
}{
	{"load", measureLoad},
	{"sessions", measureSessions},
	{"compute", measureCompute},
	{"limits", measureLimits},
	{"memory", measureMemory},
}

func main() {
	rounds := flag.Int("rounds", 7, "how often everything is measured")
	only := flag.String("only", "", "measure this `part` alone and print it")
	table := flag.String("o", "docs/benchmarks.md", "the `file` whose generated section is replaced")
	asJSON := flag.Bool("json", false, "print the part's measurements as JSON")
	flag.Parse()
	var err error
	switch {
	case *only != "":
		err = printPart(*only, *rounds, *asJSON)
	default:
		err = runAll(*rounds, *table)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-python:", err)
		os.Exit(1)
	}
}

func printPart(name string, rounds int, asJSON bool) error {
	for _, p := range parts {
		if p.name != name {
			continue
		}
		m, err := p.measure(rounds)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(os.Stdout).Encode(m)
		}
		fmt.Print(rows(m))
		return nil
	}
	return fmt.Errorf("no part %q", name)
}

// runAll measures every part in a fresh process and writes the table.
func runAll(rounds int, table string) error {
	var all []measurement
	for _, p := range parts {
		fmt.Fprintf(os.Stderr, "%s\n", p.name)
		m, err := inProcess(p.name, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		all = append(all, m...)
	}
	return writeTable(table, all, rounds)
}

func inProcess(part string, rounds int) (m []measurement, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-only", part, "-rounds", fmt.Sprint(rounds), "-json")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	return m, json.Unmarshal(out, &m)
}
