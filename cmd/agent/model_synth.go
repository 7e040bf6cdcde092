package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chorale/inference"
	"chorale/inference/synth"
)

const synthHelp = `Write a checkpoint of random weights, in the shape of a real model or any other:

  agent model synth '20b?layers=2' --out synthetic-20b
  agent model synth '120b?layers=1&vocab=4096' --format gguf --out small.gguf

The shape is a preset and what is to differ from it. Every command that takes a
model also takes synth:SHAPE, which needs no file: the same weights are made where
they are loaded to.

  presets  %s
  keys     %s

The tokenizer is a toy (bytes, a few merges, Harmony's control tokens in the last
32 ids), and what such a model says is noise. It is for tests and measurements.`

func newModelSynth(std streams) *cobra.Command {
	var format, out string
	var shard int64
	var q8 bool
	cmd := &cobra.Command{
		Use: "synth SHAPE --out PATH", Short: "Write a checkpoint of random weights", Args: one("shape"),
		Long: fmt.Sprintf(synthHelp, strings.Join(slices.Sorted(maps.Keys(synth.Presets)), ", "), strings.Join(synth.Keys, ", ")),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := synth.Parse(strings.TrimPrefix(args[0], inference.Synthetic))
			if err != nil {
				return err
			}
			o := synth.Output{Format: synth.Format(format), Shard: shard * 1e6, Q8: q8, Progress: byteProgress(std, "writing "+out)}
			if err := m.Write(cmd.Context(), out, o); err != nil {
				return err
			}
			st, err := os.Stat(out)
			if err == nil && st.IsDir() {
				out += string(os.PathSeparator)
			}
			fmt.Fprintf(std.out, "wrote %s\n", out)
			return err
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&out, "out", "", "`path` of the directory, or of the GGUF file")
	flags.StringVar(&format, "format", string(synth.HF), "layout: `hf|openai|gguf`")
	flags.Int64Var(&shard, "shard", 0, "begin a new file above this many `MB` (hf; 0: one file)")
	flags.BoolVar(&q8, "q8", false, "the dense matrices in 8 bits (gguf)")
	_ = cmd.MarkFlagRequired("out") // it is there
	return cmd
}
