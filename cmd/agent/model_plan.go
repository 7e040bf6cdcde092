package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"chorale/configs"
	"chorale/inference"
	"chorale/runtime"
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
	kv, memory        string
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
	flags.StringVar(&f.kv, "kv", "", "type of the KV cache: `f16|f32` (empty: the device's own choice)")
	flags.StringVar(&f.memory, "memory", "", "plan for a device with that much memory for the model, as in `8GB`")
	flags.BoolVar(&f.json, "json", false, "print the plan as JSON")
	return cmd
}

func (f *planFlags) run(cmd *cobra.Command, std streams) error {
	cfg, _, err := configs.Load(".", cmd.Flags())
	if err != nil {
		return err
	}
	memory, err := parseBytes(f.memory)
	if err != nil {
		return fmt.Errorf("--memory: %w", err)
	}
	p, err := inference.Plan(cmd.Context(), cfg.Model, inference.Options{
		Device: cfg.Device, Context: f.context, Sessions: f.sessions, KV: f.kv, Memory: memory,
	})
	if short := (*inference.DoesNotFit)(nil); errors.As(err, &short) {
		return &exitError{code: runtime.ExitModel, err: err}
	}
	if err != nil {
		return err
	}
	if f.json {
		enc := json.NewEncoder(std.out)
		enc.SetIndent("", "  ")
		return enc.Encode(p)
	}
	return p.Write(std.out)
}

// parseBytes reads a size: a number of bytes, or of kB, MB, GB, KiB, MiB, GiB.
func parseBytes(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	units := []struct {
		name  string
		bytes float64
	}{{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}}
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		if n, err := strconv.ParseFloat(strings.TrimSpace(number), 64); err == nil && n > 0 && n*u.bytes < 1<<60 {
			return int64(n * u.bytes), nil
		}
	}
	return 0, fmt.Errorf("%q is no size; want a number with kB, MB, GB, KiB, MiB or GiB", text)
}
