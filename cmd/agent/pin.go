package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"chorale/internal/atomicfile"
	"chorale/runtime"
	"chorale/tools/mcp"
)

func newPin(std streams) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "pin TASK.yaml", Short: "Look at what a task's MCP servers declare, and accept it", Args: one("task file"),
		Long: `Start the MCP servers of a task and show what the model would be told of each
tool that nobody has accepted yet, or that has changed since. What is accepted
goes into ` + mcp.PinsFile + ` beside the task; keep that file with the task. On a
terminal each tool is asked for; elsewhere --yes accepts them all.`,
		RunE: func(cmd *cobra.Command, args []string) error { return pin(cmd, std, args[0], yes) },
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "accept everything that is shown")
	return cmd
}

func pin(cmd *cobra.Command, std streams, path string, yes bool) error {
	job, err := runtime.Read(path)
	if err != nil {
		return err
	}
	gate, err := loadPolicies(job, nil)
	if err != nil {
		return err
	}
	within, err := fenceOf(job, gate)
	if err != nil {
		return err
	}
	list, err := mcpServers(job, within)
	if err != nil {
		return err
	}
	pins, err := readPins(job)
	if err != nil {
		return err
	}
	running, err := mcp.Connect(cmd.Context(), list, version)
	if err != nil {
		return &exitError{code: runtime.ExitTool, err: err}
	}
	defer running.Close()
	left, err := accept(cmd.Context(), std, job, pins, running.Unaccepted(pins), yes)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%d of %s accepted\n", len(running.Declarations())-left, count(len(running.Declarations()), "tool"))
	if left > 0 {
		return &exitError{code: runtime.ExitApproval}
	}
	return nil
}

// accept shows declarations, and pins those that the person at the terminal
// accepts, or all. It returns how many are left.
func accept(ctx context.Context, std streams, job *runtime.Job, pins mcp.Pins, open []mcp.Declaration, all bool) (left int, err error) {
	for _, d := range open {
		declaration(std, d, pins.State(d))
		yes := all
		if !all && std.answers {
			if yes, err = confirmed(ctx, std, "accept it?"); err != nil {
				return 0, err
			}
		}
		if yes {
			pins.Accept(d)
		} else {
			left++
		}
	}
	if left == len(open) {
		return left, nil
	}
	return left, writePins(job.Path(mcp.PinsFile), pins)
}

// declaration shows a tool as the model would see it.
func declaration(std streams, d mcp.Declaration, state mcp.State) {
	fmt.Fprintf(std.out, "%s of server %s, for the model functions.%s (%s)\n", show(d.Tool), d.Server, d.Function, state)
	fmt.Fprintf(std.out, "  %s\n  parameters %s\n", show(d.Description), show(string(json.RawMessage(d.Parameters))))
}

// writePins replaces the file at once.
func writePins(path string, pins mcp.Pins) error {
	if err := atomicfile.Write(path, pins.Format(), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
