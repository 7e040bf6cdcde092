package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chorale/configs"
	"chorale/inference"
	"chorale/runtime"
)

const evalHelp = `Measure a model on held-out episodes: an eval.jsonl, or the folder that holds one.

  replay  the model speaks freely and greedily; the recorded tool results are
          fed in. An episode counts when every message is exact.
  stack   each episode of the kinds chat, py, func, func2 and multi becomes a
          task: Python really computes, functions really run, policies decide.
          An episode counts when the final answer is right.`

// evalFlags are what the command line says about an evaluation.
type evalFlags struct {
	json  bool
	mode  string
	n     int
	kinds []string
}

func newEval(std streams) *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use: "eval FILE|DIR", Short: "Measure a model on held-out episodes", Long: evalHelp, Args: one("file or folder"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, std, args[0]) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.String("model", "", "model: pocket (embedded), a pulled one as gpt-oss-20b, or the `path` of a folder or GGUF file")
	flags.String("device", "", "where to compute: auto, cpu, software, or an `id` from agent device ls")
	memoryFlags(flags)
	flags.StringVar(&f.mode, "mode", "both", "what to measure: `replay|stack|both`")
	flags.IntVar(&f.n, "n", 0, "this many episodes only, from the beginning")
	flags.StringSliceVar(&f.kinds, "kinds", nil, "only episodes of these `kinds`, as in py,func")
	flags.BoolVar(&f.json, "json", false, "print the report as JSON")
	return cmd
}

func (f *evalFlags) run(cmd *cobra.Command, std streams, path string) error {
	if !slices.Contains([]string{"replay", "stack", "both"}, f.mode) {
		return fmt.Errorf("--mode %s: want replay, stack or both", f.mode)
	}
	cfg, _, err := configs.Load(".", cmd.Flags())
	if err != nil {
		return err
	}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		path = filepath.Join(path, "eval.jsonl")
	}
	episodes, err := readEpisodes(path, f.kinds, f.n)
	if err != nil {
		return fmt.Errorf("read episodes: %w", err)
	}
	if len(episodes) == 0 {
		return fmt.Errorf("%s holds no episode of the kinds asked for", path)
	}
	e, err := openEngine(cmd.Context(), runtime.ModelSpec{Ref: cfg.Model, Device: cfg.Device}, cfg, func(string) {}, f.opening(std))
	if err != nil {
		return modelError(err)
	}
	defer e.Close()
	report := report{Engine: e.String(), File: path}
	tick := f.progress(std, len(episodes))
	if f.mode != "stack" {
		if report.Replay, err = measure(episodes, tick("replay"), func(ep *episode) (bool, error) { return e.replay(cmd.Context(), ep) }); err != nil {
			return modelError(err)
		}
	}
	if f.mode != "replay" {
		s, err := newStack(cmd.Context(), e)
		if err != nil {
			return &exitError{code: runtime.ExitTool, err: err}
		}
		defer s.Close()
		fit := slices.DeleteFunc(slices.Clone(episodes), func(ep episode) bool { return !playable(&ep) })
		report.Stack, err = measure(fit, tick("stack"), func(ep *episode) (bool, error) { return s.play(cmd.Context(), ep) })
		if exit := (*exitError)(nil); err != nil && !errors.As(err, &exit) {
			err = &exitError{code: runtime.ExitTool, err: err}
		}
		if err != nil {
			return err
		}
	}
	if f.json {
		return printJSON(std, report)
	}
	return report.print(std.out)
}

// progress counts on a terminal's error stream, where nobody pipes it.
func (f *evalFlags) progress(std streams, total int) func(mode string) func(int) {
	return func(mode string) func(int) {
		if !std.terminal || f.json {
			return func(int) {}
		}
		return func(done int) {
			fmt.Fprintf(std.err, "\r%s %d of %d", mode, done, total)
			if done == total {
				fmt.Fprint(std.err, "\r\033[K")
			}
		}
	}
}

// opening shows how far the opening of the model is, where there is somebody to see.
func (f *evalFlags) opening(std streams) opening {
	if f.json {
		return opening{}
	}
	return showOpening(std)
}

// measure judges episodes one after the other.
func measure(episodes []episode, tick func(int), judge func(*episode) (bool, error)) (*scores, error) {
	s := &scores{}
	started := time.Now()
	for i := range episodes {
		ep := &episodes[i]
		right, err := judge(ep)
		if err != nil {
			return nil, fmt.Errorf("episode %d: %w", ep.ID, err)
		}
		s.add(ep, right)
		tick(i + 1)
	}
	s.Seconds = time.Since(started).Round(10 * time.Millisecond).Seconds()
	return s, nil
}

// replay lets the model speak an episode and reports whether every message was
// exact. It stops at the first token that leads astray.
func (e *engine) replay(ctx context.Context, ep *episode) (bool, error) {
	session, err := e.model.NewSession(inference.Sampling{Forbid: e.forbidden()})
	if err != nil {
		return false, err
	}
	defer session.Close()
	history := e.encoding.EncodeWithSpecial(ep.Prompt)
	for _, turn := range ep.Turns {
		var said strings.Builder
		for token, err := range session.Generate(ctx, history[:len(history):len(history)], e.encoding.StopTokens(), nil) {
			if err != nil {
				return false, err
			}
			history = append(history, token)
			said.WriteString(e.encoding.TokenText(token))
			if !strings.HasPrefix(turn.Expect, said.String()) {
				return false, nil
			}
		}
		if said.String() != turn.Expect {
			return false, nil
		}
		history = append(history, e.encoding.EncodeWithSpecial(turn.Then)...)
	}
	return true, nil
}
