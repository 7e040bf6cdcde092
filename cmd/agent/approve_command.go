package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"chorale/agent"
	"chorale/runtime"
)

const approveHelp = `Answer what a run that was started with --approve wait asks. Without --yes or --no
the questions are shown, with the origin of each value. A run waits as a process:
one that has ended cannot be answered any more, and must be started anew.

Exit codes:
  0  the run has taken the answer, or its questions were shown
  1  it has not: it asks nothing, has ended, or was answered already
  2  there is no such run or question`

func newApprove(std streams) *cobra.Command {
	var yes, no bool
	cmd := &cobra.Command{
		Use: "approve RUN [CALL]", Short: "Answer the questions of a run that waits", Long: approveHelp, Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := findRun(cmd, args[0])
			if err != nil {
				return err
			}
			pending, err := runtime.Pending(dir)
			switch {
			case err != nil:
				return err
			case len(pending) == 0:
				return &exitError{code: runtime.ExitNoAnswer, err: errors.New(nothingAsked(dir))}
			case !yes && !no:
				return printQuestions(std.out, pending)
			}
			q := pending[0]
			if len(args) > 1 {
				if q, err = findQuestion(pending, args[1]); err != nil {
					return err
				}
			} else if len(pending) > 1 {
				return fmt.Errorf("the run asks about %d calls; name one of them", len(pending))
			}
			err = runtime.Answer(dir, q, yes)
			if errors.Is(err, runtime.ErrAnswered) {
				return &exitError{code: runtime.ExitNoAnswer, err: err}
			}
			if err != nil {
				return err
			}
			taken := runtime.Taken(cmd.Context(), dir, q)
			if err := context.Cause(cmd.Context()); err != nil && !taken {
				return err
			}
			if !taken {
				return &exitError{code: runtime.ExitNoAnswer, err: errors.New("the run does not take the answer; it was ended from outside. A run cannot be taken up again: start it anew")}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "let the call run")
	cmd.Flags().BoolVar(&no, "no", false, "deny the call")
	cmd.Flags().String("run-dir", "", "`folder` that runs are kept in")
	cmd.MarkFlagsMutuallyExclusive("yes", "no")
	return cmd
}

// nothingAsked says why a run waits for no answer.
func nothingAsked(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "result.json"))
	var res runtime.Result
	if err != nil || json.Unmarshal(b, &res) != nil {
		return "the run asks nothing"
	}
	text := fmt.Sprintf("the run has ended (%s)", res.Status)
	if res.Status == agent.ApprovalNeeded {
		text += "; start it anew with --approve wait to be asked"
	}
	return text
}

func findQuestion(pending []runtime.Question, call string) (runtime.Question, error) {
	for _, q := range pending {
		if q.Call == call {
			return q, nil
		}
	}
	return runtime.Question{}, fmt.Errorf("the run asks nothing about %s", call)
}

func printQuestions(out io.Writer, pending []runtime.Question) error {
	for _, q := range pending {
		fmt.Fprintf(out, "%s  %s %s\n  %s\n", q.Call, show(q.Tool), show(q.Args), show(strings.TrimSpace(q.Rule+"  "+q.Reason)))
		for _, v := range q.Values {
			line := fmt.Sprintf("  %s %s: %s", v.Arg, quoted(v.Value), v.Label)
			if v.Source != "" && v.Source != v.Label {
				line += ", " + v.Source
			}
			fmt.Fprintln(out, show(line))
			if v.Quote != "" {
				fmt.Fprintf(out, "     “… %s …”\n", show(strings.Join(strings.Fields(v.Quote), " ")))
			}
		}
		if _, err := fmt.Fprintf(out, "  answer with --yes or --no until %s\n", q.Expires.Local().Format("15:04:05")); err != nil {
			return err
		}
	}
	return nil
}
