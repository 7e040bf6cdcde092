package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

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
	list, err := mcpServers(job)
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
	open := running.Unaccepted(pins)
	left := 0
	lines := bufio.NewScanner(std.in)
	for _, d := range open {
		declaration(std, d, pins.State(d))
		switch {
		case yes || std.answers && asked(std, lines):
			pins.Accept(d)
		default:
			left++
		}
	}
	if left < len(open) {
		if err := writePins(job.Path(mcp.PinsFile), pins); err != nil {
			return err
		}
	}
	fmt.Fprintf(std.out, "%d of %s accepted\n", len(running.Declarations())-left, count(len(running.Declarations()), "tool"))
	if left > 0 {
		return &exitError{code: runtime.ExitApproval}
	}
	return nil
}

// declaration shows a tool as the model would see it.
func declaration(std streams, d mcp.Declaration, state mcp.State) {
	fmt.Fprintf(std.out, "%s of server %s, for the model functions.%s (%s)\n", show(d.Tool), d.Server, d.Function, state)
	fmt.Fprintf(std.out, "  %s\n  parameters %s\n", show(d.Description), show(string(json.RawMessage(d.Parameters))))
}

func asked(std streams, lines *bufio.Scanner) bool {
	for {
		fmt.Fprint(std.out, "accept it? [y] yes  [n] no: ")
		if !lines.Scan() {
			return false
		}
		switch said, err := parseReply(lines.Text()); {
		case err == nil && said == once:
			return true
		case err == nil && said == no:
			return false
		}
	}
}

// writePins replaces the file at once.
func writePins(path string, pins mcp.Pins) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".mcp.lock-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(pins.Format())
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
