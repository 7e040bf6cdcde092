package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"chorale/agent"
)

// A run that waits for approvals lays each question into approvals/ of its
// folder, as CALL.json, and takes the answer, yes or no in a line, from CALL.answer
// beside it, which is made once and not changed. No answer in time is a no.

// Question is a call that waits for a person, as the file says it.
type Question struct {
	Call    string    `json:"call"`
	Tool    string    `json:"tool"`
	Args    string    `json:"args"`
	Rule    string    `json:"rule,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Values  []Asked   `json:"values"`
	Expires time.Time `json:"expires"`
}

// Asked is a value of the call, and where it came from.
type Asked struct {
	Arg    string `json:"arg"`
	Value  string `json:"value"`
	Class  string `json:"class"`
	Label  string `json:"label"`
	Source string `json:"source,omitempty"`
	Quote  string `json:"quote,omitempty"` // the untrusted text around it
}

// NewQuestion is a question as other processes are told of it.
func NewQuestion(q agent.Question, expires time.Time) Question {
	out := Question{Call: q.Call.ID, Tool: q.Call.Name(), Args: q.Call.Args, Rule: q.Decision.Rule, Reason: q.Decision.Reason, Values: []Asked{}, Expires: expires}
	for _, l := range q.Leaves {
		out.Values = append(out.Values, Asked{l.Arg, l.Text, l.Class.String(), l.Label.String(), l.Source, l.Quote})
	}
	return out
}

// desk is where a run lays its questions.
type desk struct {
	dir  string
	wait time.Duration
}

// approver is who answers in a run: whoever the session names, or else a person
// elsewhere, for whom the questions lie in the run's folder.
func (s *Session) approver(dir folder) agent.Approver {
	if s.Approver == nil && s.Wait > 0 {
		return desk{dir.file("approvals"), s.Wait}
	}
	return s.Approver
}

// The answer to a question: the end of its file's name, and what it holds. What is
// not a whole line is still being written.
const (
	answered = ".answer"
	yesLine  = "yes\n"
	noLine   = "no\n"
)

// ErrAnswered means that somebody else has answered a question.
var ErrAnswered = errors.New("already answered")

const deskPoll = 200 * time.Millisecond

// Approve implements agent.Approver.
func (d desk) Approve(ctx context.Context, q agent.Question) (bool, error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return false, err
	}
	expires := time.Now().Add(d.wait)
	b, err := json.MarshalIndent(NewQuestion(q, expires), "", "  ")
	if err != nil {
		return false, err
	}
	name := filepath.Join(d.dir, q.Call.ID)
	if err := writeFile(name+".json", append(b, '\n')); err != nil {
		return false, err
	}
	defer os.Remove(name + ".json")
	tick := time.NewTicker(deskPoll)
	defer tick.Stop()
	for time.Now().Before(expires) {
		if b, err := os.ReadFile(name + answered); err == nil && bytes.HasSuffix(b, []byte("\n")) {
			return string(b) == yesLine, nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-tick.C:
		}
	}
	return false, nil
}

// Pending are the questions of a run that wait for an answer.
func Pending(runDir string) ([]Question, error) {
	entries, err := os.ReadDir(filepath.Join(runDir, "approvals"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []Question
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(runDir, "approvals", e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // answered meanwhile
		}
		var q Question
		if err == nil {
			err = json.Unmarshal(b, &q)
		}
		if err != nil {
			return nil, fmt.Errorf("question %s: %w", e.Name(), err)
		}
		out = append(out, q)
	}
	slices.SortFunc(out, func(a, b Question) int { return a.Expires.Compare(b.Expires) })
	return out, err
}

// Answer answers a question that Pending gave. Of two answers the first counts, and
// the second is ErrAnswered.
func Answer(runDir string, q Question, yes bool) error {
	if q.Call == "" || filepath.Base(q.Call) != q.Call {
		return fmt.Errorf("%q names no question", q.Call)
	}
	line := noLine
	if yes {
		line = yesLine
	}
	f, err := os.OpenFile(filepath.Join(runDir, "approvals", q.Call+answered), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", q.Call, ErrAnswered)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name())) // so that it can be tried again
	}
	return nil
}

// takenWithin is how long a run that lives may need to see its answer.
const takenWithin = 3 * time.Second

// Taken waits until a run has taken the answer to a question. False: it does not
// live any more.
func Taken(ctx context.Context, runDir string, q Question) bool {
	tick := time.NewTicker(deskPoll / 4)
	defer tick.Stop()
	for end := time.Now().Add(takenWithin); time.Now().Before(end); {
		if _, err := os.Lstat(filepath.Join(runDir, "approvals", q.Call+".json")); err != nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return false
}
