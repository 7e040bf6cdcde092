package runtime

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"chorale/agent"
	"chorale/tools"
)

// Exit codes of a run, as scripts see them.
const (
	ExitDone        = 0   // answered, and every check passed
	ExitNoAnswer    = 1   // ended without an answer, or a check failed
	ExitUsage       = 2   // the command line or a file is wrong; nothing ran
	ExitDenied      = 3   // stopped by policy
	ExitApproval    = 4   // needed an approval that nobody gave
	ExitBudget      = 5   // a budget is spent
	ExitTool        = 6   // a tool or its sandbox broke
	ExitModel       = 7   // the model or its device broke
	ExitInterrupted = 130 // cancelled, as by Ctrl-C
)

var exitCodes = map[agent.Status]int{
	agent.Done:           ExitDone,
	agent.NoAnswer:       ExitNoAnswer,
	CheckFailed:          ExitNoAnswer,
	UsageError:           ExitUsage,
	agent.Denied:         ExitDenied,
	agent.ApprovalNeeded: ExitApproval,
	agent.Exhausted:      ExitBudget,
	agent.ToolBroke:      ExitTool,
	agent.ModelBroke:     ExitModel,
	agent.Interrupted:    ExitInterrupted,
}

// Statuses that a run can end with besides the agent's own.
const (
	CheckFailed agent.Status = "check_failed" // answered, but a check of the task failed
	UsageError  agent.Status = "usage_error"  // nothing ran
)

// ExitCode is the process's exit code for a status.
func ExitCode(s agent.Status) int { return exitCodes[s] }

// Result is how a run ended: result.json, and the last line of a stream.
type Result struct {
	Status    agent.Status     `json:"status"`
	ExitCode  int              `json:"exit_code"`
	Reason    string           `json:"reason,omitempty"`    // why it is not done, in one line
	Final     string           `json:"final"`               // the answer as the model gave it; empty unless there is one
	Value     json.RawMessage  `json:"value,omitempty"`     // the answer as JSON, where the task gives it a schema
	Citations []tools.Citation `json:"citations,omitempty"` // the pages that the answer cites
	Task      string           `json:"task,omitempty"`
	Run       string           `json:"run,omitempty"` // the run's id
	Dir       string           `json:"dir,omitempty"` // the run's folder
	Used      agent.Used       `json:"used"`
	Seconds   float64          `json:"seconds"`
	Audit     string           `json:"audit,omitempty"` // hash of the last line of audit.jsonl
	Checks    []CheckResult    `json:"checks,omitempty"`
	Artifacts []ArtifactFile   `json:"artifacts,omitempty"`
}

// breaks has the result say that something of ours broke.
func (r *Result) breaks(err error) {
	r.Status, r.ExitCode, r.Reason = agent.ToolBroke, ExitTool, err.Error()
}

// CheckResult is one graded check.
type CheckResult struct {
	Check  string `json:"check"` // the question in words
	Passed bool   `json:"passed"`
	Reason string `json:"reason,omitempty"`
}

// ArtifactFile is a file that the run left in its artifacts folder.
type ArtifactFile struct {
	Name   string `json:"name"` // relative to artifacts/
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// grade answers the task's checks. A check on a file reads it from the
// artifacts folder, where everything that the run made is collected.
func grade(checks []Check, final, artifacts string) []CheckResult {
	var out []CheckResult
	for _, c := range checks {
		subject, text := "answer", final
		res := CheckResult{}
		if c.File != "" {
			subject = c.File
			b, err := readBelow(artifacts, c.File)
			if err != nil {
				res.Reason = err.Error()
			}
			text = string(b)
		}
		var want string
		switch {
		case c.Contains != "":
			want, res.Passed = "contains "+c.Contains, strings.Contains(text, c.Contains)
		case c.Equals != "":
			want, res.Passed = "equals "+c.Equals, strings.TrimSpace(text) == strings.TrimSpace(c.Equals)
		case c.Matches != "":
			want, res.Passed = "matches "+c.Matches, regexp.MustCompile(c.Matches).MatchString(text)
		}
		res.Check = subject + " " + want
		res.Passed = res.Passed && res.Reason == ""
		if !res.Passed && res.Reason == "" {
			res.Reason = fmt.Sprintf("got %q", clip(text, 200))
		}
		out = append(out, res)
	}
	return out
}

// readBelow reads the file name under dir and refuses links out of it.
func readBelow(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(filepath.FromSlash(name))
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
