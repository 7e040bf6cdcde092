package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chorale/configs"
	"chorale/runtime"
	"chorale/tools/python"
)

func newSetup(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "setup [python|browser|gpu|all]", Short: "Fetch and prepare what tasks need",
		Args: cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs), ValidArgs: []string{"python", "browser", "gpu", "all"},
		Long: `Fetch and prepare what tasks need, once for this machine:

  python   the Python sandbox (also where nothing is named)
  browser  Chromium, for tasks with javascript: true
  gpu      the Vulkan loader and drivers
  all      each of them

It says what it will fetch and what that takes, and returns at once where it is done
already. It can be interrupted and called again. Chromium and Vulkan are packages of
the system: on Debian and Ubuntu they are installed, as root or by sudo; elsewhere it
says what to install.`,
	}
	f := &setupFlags{}
	flags := cmd.Flags()
	flags.StringVar(&f.python.Wheel, "python-wheel", "", "use this wheel `file` instead of a download")
	flags.StringVar(&f.runtime, "runtime", "auto", "set up full Python (with numpy, pandas and more), basic, or both (`auto`)")
	flags.String("index", "", "fetch Python from this package `index` instead of pip's own")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		part := "python"
		if len(args) > 0 {
			part = args[0]
		}
		return f.run(cmd, std, part)
	}
	return cmd
}

type setupFlags struct {
	python  python.PrepareOptions
	runtime string
}

// run sets a part up, or all; one that fails does not keep the others back.
func (f *setupFlags) run(cmd *cobra.Command, std streams, part string) error {
	cfg, _, err := configs.Load(".", cmd.Flags())
	if err != nil {
		return err
	}
	f.python.Index = cfg.PythonIndex
	if f.python.Runtime, err = python.ParseRuntime(f.runtime); err != nil {
		return err
	}
	if err := f.python.CheckWheel(); err != nil {
		return fmt.Errorf("--python-wheel: %w", err) // known before anything is fetched or made
	}
	var errs []error
	for _, p := range []struct {
		name string
		run  func() error
	}{
		{"browser", func() error { return setupSystem(cmd, std, chromium) }},
		{"gpu", func() error { return setupSystem(cmd, std, vulkan) }},
		{"python", func() error { return preparePython(cmd, std, f.python) }},
	} {
		if part == p.name || part == "all" {
			errs = append(errs, p.run())
		}
		if cmd.Context().Err() != nil {
			break
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &exitError{code: runtime.ExitTool, err: err}
	}
	return nil
}

func preparePython(cmd *cobra.Command, std streams, opts python.PrepareOptions) error {
	if cost := python.PrepareCost(opts); cost.Disk > 0 {
		fmt.Fprintf(std.err, "Setting up Python: %s to download, %s on disk, up to %s of memory, about %s.\n",
			megabytes(cost.Download), megabytes(cost.Disk), megabytes(cost.Memory), span(cost.Time))
	}
	p := &progress{out: std.err, live: std.terminal}
	opts.Progress = func(now python.Progress) {
		detail := ""
		if now.Total > 0 {
			detail = fmt.Sprintf("%s of %s", megabytes(now.Done), megabytes(now.Total))
		}
		p.show(now.Stage, now.Text, detail)
	}
	err := python.Prepare(cmd.Context(), opts)
	p.end()
	return err
}

// progress prints one line a stage; on a terminal the line follows the details.
type progress struct {
	out   io.Writer
	live  bool
	stage string
	last  time.Time
	width int
}

func (p *progress) show(stage, text, detail string) {
	fresh := stage != p.stage
	if !fresh && (!p.live || time.Since(p.last) < 100*time.Millisecond) {
		return
	}
	if fresh && p.stage != "" && p.live {
		fmt.Fprintln(p.out)
	}
	if fresh {
		p.width = 0
	}
	p.stage, p.last = stage, time.Now()
	line := "  " + text
	if !p.live {
		fmt.Fprintln(p.out, line)
		return
	}
	if detail != "" {
		line += "  " + detail
	}
	fmt.Fprint(p.out, "\r"+line+strings.Repeat(" ", max(0, p.width-len(line))))
	p.width = len(line)
}

func (p *progress) end() {
	if p.live && p.stage != "" {
		fmt.Fprintln(p.out)
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
