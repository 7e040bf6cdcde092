package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/charmbracelet/log"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chorale/configs"
	"chorale/inference/store"
	"chorale/runtime"
)

// streams are what a command reads from and writes to.
type streams struct {
	in       *os.File
	out      io.Writer
	err      io.Writer
	terminal bool        // out is a terminal, and a person sees it
	answers  bool        // in is one as well: a person can be asked
	log      *log.Logger // writes to err
	width    int         // columns of the terminal
	links    bool        // the terminal shows hyperlinks
}

func standardStreams() streams {
	s := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, width: 80, log: newLogger(os.Stderr)}
	s.terminal = term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("TERM") != "dumb"
	s.links = s.terminal && showsLinks(os.Getenv)
	s.answers = s.terminal && term.IsTerminal(int(os.Stdin.Fd()))
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 0 {
		s.width = w
	}
	return s
}

// exitError ends the process with a code. What there is to say has been said,
// unless err is set.
type exitError struct {
	code int
	err  error
	told bool // the code stands in what was printed or kept: an interruption since changes nothing
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string, std streams) int {
	out := &output{to: std.out}
	if !std.terminal { // which is asked for its colours, and takes everything
		std.out = out
	}
	root := newRoot(std)
	root.SetArgs(args)
	err := out.settle(root.ExecuteContext(ctx))
	if err == nil {
		return runtime.ExitDone
	}
	exit := &exitError{code: runtime.ExitUsage, err: err}
	refused := !errors.As(err, &exit)
	code := exit.code
	switch {
	case ctx.Err() != nil && !exit.told:
		code = runtime.ExitInterrupted
	case refused && endStream(args, std, err):
		return code
	}
	if exit.err != nil {
		std.log.Error(exit.err)
	}
	return code
}

// endStream writes the last line that the reader of a stream of events was promised,
// of a command line that was refused. It reports whether one was asked for.
func endStream(args []string, std streams, err error) bool {
	switch {
	case !asksForJSON(args):
		return false
	case args[0] == "run":
		_ = (&stream{out: std.out}).finish(runtime.Result{Status: runtime.UsageError, ExitCode: runtime.ExitUsage, Reason: err.Error()})
		return true
	case len(args) > 1 && args[0] == "model" && args[1] == "pull":
		_ = newPullView(std, true).finish(store.Model{}, runtime.ExitUsage, err)
		return true
	}
	return false
}

// asksForJSON reads what it can of a command line that cobra does not take.
func asksForJSON(args []string) (asks bool) {
	for _, arg := range args {
		if arg == "--" {
			break
		}
		if value, ok := strings.CutPrefix(arg, "--json="); ok {
			asks, _ = strconv.ParseBool(value)
		} else if arg == "--json" {
			asks = true
		}
	}
	return asks
}

func newRoot(std streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "agent",
		Short: "Carry out tasks with a gpt-oss model on this machine",
		Long: `agent carries out tasks with a gpt-oss model on this machine: the model, its
tools and the policies run in one process, and nothing leaves the machine.

  agent task init task.yaml
  agent run task.yaml`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetIn(std.in)
	root.AddCommand(
		newRun(std), newApprove(std), newPolicy(std), newTask(std), newEval(std), newSetup(std),
		newMCP(std), newHarmony(std), newModel(std), newDevice(std), newBench(std), newConfig(std), newVersion(std),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	refuseUnknown(root)
	return root
}

// refuseUnknown has commands that only hold others refuse what is none of these:
// cobra does so for the root alone, and shows help elsewhere as if all were well.
func refuseUnknown(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		refuseUnknown(cmd)
		switch {
		case cmd.Name() == "help":
			cmd.Args = func(cmd *cobra.Command, args []string) error {
				_, rest, err := cmd.Root().Find(args)
				if err == nil && len(rest) > 0 {
					err = fmt.Errorf("there is no command %q to help with", strings.Join(args, " "))
				}
				return err
			}
		case cmd.HasSubCommands() && !cmd.Runnable():
			cmd.Args = cobra.ArbitraryArgs
			cmd.DisableFlagsInUseLine = true
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return cmd.Help()
				}
				return fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
			}
		}
	}
}

// one takes exactly one argument, which the error calls by its name.
func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes one %s and was given %d; usage: %s", cmd.CommandPath(), what, len(args), cmd.UseLine())
		}
		return nil
	}
}

func newVersion(std streams) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(std.out, "agent", version)
			return err
		},
	}
}

func newConfig(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show the configuration and where it comes from"}
	explain := func(key string) (value, from string, err error) {
		if !configs.Known(key) {
			return "", "", fmt.Errorf("there is no key %s; the keys are %v", key, configs.Keys)
		}
		_, sources, err := configs.Load(".", nil)
		if err != nil {
			return "", "", err
		}
		value, from = sources.Explain(key)
		return value, from, nil
	}
	keys := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return configs.Keys, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.AddCommand(&cobra.Command{
		Use: "get KEY", Short: "Print a value", Args: one("key"), ValidArgsFunction: keys,
		RunE: func(_ *cobra.Command, args []string) error {
			value, _, err := explain(args[0])
			if err == nil {
				_, err = fmt.Fprintln(std.out, value)
			}
			return err
		},
	}, &cobra.Command{
		Use: "explain [KEY]", Short: "Print values and the source that set each", Args: cobra.MaximumNArgs(1), ValidArgsFunction: keys,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = configs.Keys
			}
			for _, key := range args {
				value, from, err := explain(key)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintf(std.out, "%-16s %-20s %s\n", key, value, from); err != nil {
					return err
				}
			}
			return nil
		},
	})
	return cmd
}
