package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"chorale/configs"
	"chorale/inference"
)

const planHelp = `Say what of a model would lie where, and how much memory it takes, before anything
is loaded:

  agent model plan --model gpt-oss-20b --context 32768
  agent model plan --model synth:120b --device vulkan --memory 24GB

A device keeps what every token needs, and the experts of as many layers as it has
room for; the others' are computed on the CPU. Where nothing fits, the error says
by how much and which setting would.`

// planFlags are what the command line says about a plan.
type planFlags struct {
	context, sessions int
	json              bool
}

func newModelPlan(std streams) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use: "plan", Short: "Say what of a model would lie where", Long: planHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, std) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.String("model", "", "model: pocket (embedded), a checkpoint `folder` or file, or synth:SHAPE")
	flags.String("device", "", "where to compute: auto, cpu, software, or an `id` from agent device ls")
	flags.IntVar(&f.context, "context", 0, "positions per session (0: as a task has them)")
	flags.IntVar(&f.sessions, "sessions", 1, "sessions at the same time")
	memoryFlags(flags)
	flags.BoolVar(&f.json, "json", false, "print the plan as JSON")
	return cmd
}

// memoryFlags are keys of the configuration that say how memory is used.
func memoryFlags(flags *pflag.FlagSet) {
	flags.String("kv", "", "type of the KV cache: `f16|f32` (empty: the device's own choice)")
	flags.String("dense", "", "convert dense matrices while loading: `q8_0` (empty: leave them as they are)")
	flags.String("memory", "", "how much of a GPU's memory the model may take, as in `8GB` (empty: what it has)")
}

func (f *planFlags) run(cmd *cobra.Command, std streams) error {
	if f.sessions < 1 {
		return fmt.Errorf("--sessions %d: want at least 1", f.sessions)
	}
	cfg, _, err := configs.Load(".", cmd.Flags())
	if err != nil {
		return err
	}
	place, err := findModel(cmd.Context(), cfg.Model, cfg.Models)
	if err != nil {
		return modelError(err)
	}
	defer place.Close()
	p, err := inference.Plan(cmd.Context(), place.path, inference.Options{
		Device: cfg.Device, Context: f.context, Sessions: f.sessions, KV: cfg.KV, Memory: cfg.Memory, Dense: cfg.Dense,
	})
	if err != nil {
		return modelError(err)
	}
	if f.json {
		return printJSON(std, p)
	}
	where := p.Device
	if where == "" {
		where = "the CPU"
	}
	fmt.Fprintf(std.out, "%s on %s\n\n", cmp.Or(cfg.Model, inference.Pocket), where)
	return p.Write(std.out)
}
