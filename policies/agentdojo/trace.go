// Package agentdojo replays traces of AgentDojo (Debenedetti et al. 2024,
// arXiv:2406.13352) through the policy engine. Each trace is a task that was
// carried out with recorded outputs, half of them poisoned. The model is
// supposed to be wholly in the attacker's hands: it makes the calls that the
// poisoned text asks for at once. What is measured is what the runtime stops,
// and what it stops of tasks that nobody attacks.
//
// It refuses to run anything: outputs are those of the trace.
package agentdojo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Trace is one line of a trace file.
type Trace struct {
	Suite     string  `json:"suite"`
	UserTask  string  `json:"user_task_id"`
	Injection *string `json:"injection_task_id"` // nil: nobody attacks
	Prompt    string  `json:"user_prompt"`
	Steps     []Step  `json:"steps"`
	Attack    []int   `json:"attacker_call_indices"`
	Reaches   bool    `json:"reaches_goal"` // AgentDojo's own verdict when every call runs
}

// Step is a call and what it gave.
type Step struct {
	Call struct {
		Name string          `json:"name"`
		Args json.RawMessage `json:"args"`
	} `json:"call"`
	Output string          `json:"output"`
	Error  json.RawMessage `json:"error"`
}

// attacks reports whether the attacker asked for step i.
func (t *Trace) attacks(i int) bool { return slices.Contains(t.Attack, i) }

func (s *Step) failed() bool { return len(s.Error) > 0 && !bytes.Equal(s.Error, []byte("null")) }

// Read reads a trace file.
func Read(name string, r io.Reader) ([]Trace, error) {
	var out []Trace
	lines := bufio.NewReaderSize(r, 1<<16)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var t Trace
			if err := json.Unmarshal(line, &t); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", name, n, err)
			}
			for _, i := range t.Attack {
				if i < 0 || i >= len(t.Steps) {
					return nil, fmt.Errorf("%s:%d: attacker_call_indices: there is no step %d", name, n, i)
				}
			}
			out = append(out, t)
		}
		switch {
		case err == io.EOF:
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
}
