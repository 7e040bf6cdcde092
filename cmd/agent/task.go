package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"chorale/configs"
	"chorale/harmony"
	"chorale/runtime"
)

func newTask(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "task", Short: "Check and write task files"}
	cmd.AddCommand(newTaskValidate(std), newTaskInit(std), &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of task files", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := std.out.Write(configs.TaskSchema)
			return err
		},
	})
	return cmd
}

func newTaskValidate(std streams) *cobra.Command {
	var set []string
	cmd := &cobra.Command{
		Use: "validate FILE...", Short: "Check task files without running them", Args: cobra.MinimumNArgs(1),
		Long: `Check task files with all that they refer to: prompts, functions, policies,
manifests.
Mistakes are named with file, line and column. What of a function's schema the
model cannot be held to while it writes is listed; it is checked when the function
is called. Tools of MCP servers are known once these run, so they are not among it.`,
		RunE: func(_ *cobra.Command, args []string) error {
			values, err := parseSet(set)
			if err != nil {
				return err
			}
			var errs []error
			for _, path := range args {
				notices, err := validate(path, values)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintf(std.out, "%s: ok\n", path)
				for _, text := range notices {
					fmt.Fprintf(std.out, "  %s\n", show(text))
				}
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "set an input of the task: `name=value`")
	return cmd
}

// validate reads a task and everything that its run would read. Notices say what
// a run checks later than its author may think.
func validate(path string, values map[string]string) (notices []string, err error) {
	job, err := runtime.Read(path)
	if err != nil {
		return nil, err
	}
	if len(values) > 0 {
		if err := job.Set(values); err != nil {
			return nil, err
		}
	}
	gate, err := loadPolicies(job, nil)
	if err != nil {
		return nil, err
	}
	if _, err := loadManifests(job); err != nil {
		return nil, err
	}
	granted, err := grants(job, gate, nil)
	if err != nil {
		return nil, err
	}
	var declared []harmony.Namespace
	for _, g := range granted {
		declared = append(declared, g.Namespace)
	}
	left, err := job.Unenforced(declared)
	if err != nil {
		return nil, err
	}
	for _, u := range left {
		notices = append(notices, fmt.Sprintf("%s: %v: checked when it is there, not while the model writes", cmp.Or(u.Tool, "the answer"), u.Err))
	}
	return notices, nil
}

func newTaskInit(std streams) *cobra.Command {
	return &cobra.Command{
		Use: "init [FILE]", Short: "Write an example task file", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := "task.yaml"
			if len(args) == 1 {
				path = args[0]
			}
			f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			if err != nil {
				return fmt.Errorf("write task: %w", err)
			}
			_, err = f.Write(configs.TaskExample)
			if e := f.Close(); err == nil {
				err = e
			}
			if err == nil {
				_, err = fmt.Fprintf(std.out, "wrote %s; try: agent run %s\n", path, path)
			}
			return err
		},
	}
}
