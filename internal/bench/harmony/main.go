// Command harmony measures the codec beside its peers: the same work on the same
// inputs, by turns, in CPU time of one thread. It builds the peers from their
// packages into the user's cache and writes its table into docs/benchmarks.md.
//
// `make bench-harmony` runs it.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "peer" {
		check(serve(os.Args[2]))
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "schemas" {
		check(serveSchemas(os.Stdout))
		return
	}
	rounds := flag.Int("rounds", 5, "how often everything is measured; the table has medians")
	schemas := flag.Int("schemas", 3, "how often the schemas of constrained generation are gone through; 0 leaves that out")
	seconds := flag.Float64("seconds", 0.2, "CPU `seconds` for each measurement")
	table := flag.String("o", "docs/benchmarks.md", "the `file` whose generated section is replaced")
	flag.Parse()
	check(run(*rounds, *schemas, *seconds, *table))
}

func run(rounds, schemas int, seconds float64, table string) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	cache = filepath.Join(cache, "agent", "bench")
	in, err := writeInputs(filepath.Join(cache, "inputs"))
	if err != nil {
		return fmt.Errorf("write the inputs: %w", err)
	}
	programs, missing, err := build(cache)
	if err != nil {
		return err
	}
	results, err := measure(programs, in, rounds, seconds)
	if err != nil {
		return err
	}
	constrained, err := measureConstrained(cache, schemas)
	if err != nil {
		return fmt.Errorf("constrained generation: %w", err)
	}
	return writeTable(table, results, constrained, in, missing)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-harmony:", err)
		os.Exit(1)
	}
}
