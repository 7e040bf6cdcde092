package main

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chorale/configs"
	"chorale/inference"
	"chorale/inference/speed"
	"chorale/inference/synth"
	"chorale/internal/atomicfile"
	"chorale/runtime"
)

const benchHelp = `Measure how fast a model runs, and what it takes:

  agent bench --model gpt-oss-20b
  agent bench --synth 20b --layers 2 --device vulkan --prefill 64,512 --depth 0,8192
  agent bench --synth 20b --layers 2 --device cpu --profile

Prompts are noise, and what is decoded is sampled. A long conversation (--depth) is
made by repeating keys and values, so that nobody has to wait for its prefill.
Figures are the least, the median and the most of --reps repetitions. Those per CPU
second are what a machine with nothing else to do would give a core.

Shares are of the bandwidth that the device has when it copies memory, or that the
CPU has when all threads read.

--synth takes a preset (%s); --layers, --experts and so on change its shape.

Exit codes:
  0    measured
  2    the command line is wrong, or names a model or a device that is not there
  7    the model or its device broke
  130  interrupted`

// benchFlags are what the command line says about a measurement.
type benchFlags struct {
	synth string
	o     speed.Options
	json  bool

	profile, plot string // where to draw
}

func newBench(std streams) *cobra.Command {
	f := benchFlags{}
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure how fast a model runs", Args: cobra.NoArgs,
		Long: fmt.Sprintf(benchHelp, strings.Join(slices.Sorted(maps.Keys(synth.Presets)), ", ")),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, std) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.String("model", "", "model: pocket (embedded), a checkpoint `folder` or file, or synth:SHAPE")
	flags.StringVar(&f.synth, "synth", "", "a model of random weights instead: a `preset`")
	for _, key := range synth.Keys {
		flags.String(key, "", "of --synth: change its "+key)
	}
	flags.String("device", "", "where to compute: auto, cpu, software, or an `id` from agent device ls")
	flags.IntVar(&f.o.Model.Threads, "threads", 0, "threads of the CPU (0: one per core)")
	memoryFlags(flags)
	flags.IntSliceVar(&f.o.Prefill, "prefill", []int{32, 512}, "`tokens` of the prompts")
	flags.IntVar(&f.o.Decode, "decode", 32, "tokens decoded, each time")
	flags.IntSliceVar(&f.o.Depth, "depth", []int{0, 4096}, "`tokens` of the conversation before them")
	flags.IntSliceVar(&f.o.Sessions, "sessions", []int{1, 4}, "how many decode at the same `time`, at the first depth")
	flags.IntVar(&f.o.Turn, "turn", 64, "tokens of a tool's result, whose time to the next token is measured (0: no)")
	flags.IntVar(&f.o.Reps, "reps", 3, "repetitions")
	flags.StringVar(&f.profile, "profile", "", "also say where the time goes, kernel by kernel, and draw it in this HTML `file`")
	flags.Lookup("profile").NoOptDefVal = "profile.html"
	flags.StringVar(&f.plot, "plot", "", "draw the cost by depth and by length of prompt into this `folder`, as SVG")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

func (f *benchFlags) run(cmd *cobra.Command, std streams) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	cfg, _, err := configs.Load(".", cmd.Flags())
	if err != nil {
		return err
	}
	ref, err := f.reference(cmd, cfg.Model)
	if err != nil {
		return err
	}
	place, err := findModel(cmd.Context(), ref, cfg.Models)
	if err != nil {
		return modelError(err)
	}
	defer place.Close()
	o := &f.o.Model
	o.Device, o.KV, o.Memory, o.Dense, o.Kernels, o.Patience = cfg.Device, cfg.KV, cfg.Memory, cfg.Dense, cfg.Kernels, cfg.Patience
	o.Notice = func(text string) { std.log.Warn(text) }
	o.Progress, o.Testing = byteProgress(std, "loading "+ref), testProgress(std)
	f.o.Progress = benchProgress(std)
	result, err := speed.Run(cmd.Context(), place.path, f.o)
	f.o.Progress("")
	if err != nil {
		return modelError(err)
	}
	if strings.HasPrefix(ref, inference.Synthetic) {
		result.Model = ref
	}
	if f.json {
		err = printJSON(std, result)
	} else {
		err = writeBench(std.out, result)
	}
	if e := f.draw(result); e != nil {
		return &exitError{code: runtime.ExitTool, err: e}
	}
	return err
}

// check refuses numbers that mean nothing.
func (f *benchFlags) check(cmd *cobra.Command) error {
	for name, list := range map[string][]int{"prefill": f.o.Prefill, "depth": f.o.Depth, "sessions": f.o.Sessions} {
		least := 1
		if name == "depth" {
			least = 0
		}
		for _, n := range list {
			if n < least {
				return fmt.Errorf("--%s %d: want at least %d", name, n, least)
			}
		}
	}
	if err := f.checkPictures(); err != nil {
		return err
	}
	f.o.Profile = f.profile != ""
	if f.plot != "" {
		if !cmd.Flags().Changed("prefill") {
			f.o.Prefill = []int{32, 64, 128, 256, 512, 1024, 2048, 4096}
		}
		if !cmd.Flags().Changed("depth") {
			f.o.Depth = []int{0, 2048, 4096, 8192, 16384, 24576, 32768}
		}
	}
	if f.o.Decode < 0 || f.o.Turn < 0 || f.o.Reps < 1 {
		return errors.New("--decode and --turn must not be negative, --reps at least 1")
	}
	return nil
}

// checkPictures says before the measurement that what it shows could not be drawn.
func (f *benchFlags) checkPictures() error {
	if f.profile != "" {
		if err := atomicfile.Check(f.profile); err != nil {
			return fmt.Errorf("--profile: %w", err)
		}
	}
	if f.plot == "" {
		return nil
	}
	err := os.MkdirAll(f.plot, 0o755)
	for _, name := range []string{decodePicture, prefillPicture} {
		if err == nil {
			err = atomicfile.Check(filepath.Join(f.plot, name))
		}
	}
	if err != nil {
		return fmt.Errorf("--plot: %w", err)
	}
	return nil
}

// reference is the model that is measured.
func (f *benchFlags) reference(cmd *cobra.Command, model string) (string, error) {
	changed := url.Values{}
	for _, key := range synth.Keys {
		if flag := cmd.Flags().Lookup(key); flag.Changed {
			changed.Set(key, flag.Value.String())
		}
	}
	switch {
	case f.synth != "" && cmd.Flags().Changed("model"):
		return "", errors.New("--model and --synth: want one of them")
	case f.synth == "" && len(changed) > 0:
		return "", fmt.Errorf("--%s changes the shape of --synth, which is not given", slices.Sorted(maps.Keys(changed))[0])
	case f.synth == "":
		return model, nil
	}
	ref := f.synth
	if len(changed) > 0 {
		ref += "?" + changed.Encode()
	}
	_, err := synth.Parse(ref)
	return inference.Synthetic + ref, err
}

// benchProgress says what is measured: in a line that is gone in the end where a
// person sees it, else in lines of the log.
func benchProgress(std streams) func(string) {
	return func(what string) {
		switch {
		case std.terminal:
			fmt.Fprint(std.err, "\r\033[K"+what)
		case what != "":
			std.log.Info(what)
		}
	}
}

// draw writes the pictures that were asked for.
func (f *benchFlags) draw(r *speed.Result) error {
	if f.profile != "" {
		page, err := flamePage(r)
		if err == nil {
			err = os.WriteFile(f.profile, page, 0o644)
		}
		if err != nil {
			return fmt.Errorf("draw the profile: %w", err)
		}
	}
	if f.plot != "" {
		if err := plotBench(f.plot, r); err != nil {
			return fmt.Errorf("draw the cost: %w", err)
		}
	}
	return nil
}
