// Command llama measures the engine beside llama.cpp: the same checkpoint of
// random weights, on the same device, by turns. It installs llama.cpp from
// packages into the user's cache, writes the checkpoints there, and writes its
// table into docs/benchmarks.md.
//
// `make bench-peer` runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
)

func main() {
	var names []string
	for _, c := range cases {
		names = append(names, c.name)
	}
	only := flag.String("cases", "", "the `names` of what is measured, of "+strings.Join(names, ",")+"; empty: what this machine can")
	pairs := flag.Int("pairs", 0, "how often both take turns; 0: as each case has it")
	table := flag.String("o", "docs/benchmarks.md", "the `file` whose generated section is replaced")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, *pairs, *table); err != nil {
		fmt.Fprintln(os.Stderr, "bench-peer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, pairs int, table string) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	cache = filepath.Join(cache, "chorale", "bench")
	peer, err := install(ctx, filepath.Join(cache, "llama"))
	if err != nil {
		return err
	}
	for _, c := range chosen {
		if pairs > 0 {
			c.pairs = pairs
		}
		if c.avx2 && os.Getenv("PEER_CPU") == "" {
			if err := again(ctx, c.name, pairs, table); err != nil {
				return err
			}
			continue
		}
		o, err := c.measure(ctx, cache, peer)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if err := writeTable(table, c, o); err != nil { // at once: the next case may take long
			return err
		}
	}
	return nil
}

// again measures a case in a process with AVX2 at most: what a processor has is found out
// when a process starts.
func again(ctx context.Context, name string, pairs int, table string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-cases", name, "-pairs", strconv.Itoa(pairs), "-o", table)
	cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdout, os.Stderr, os.Environ()
	for k, v := range withAVX2 {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd.Run()
}
