package runtime

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"chorale/agent"
	"chorale/policies/provenance"
)

// AuditEntry is one line of audit.jsonl: a call, what the policy made of it and
// who had a say. Each line holds the hash of the line before, so that none can
// be changed, dropped or put in without changing all that follow; result.json
// holds the hash of the last.
type AuditEntry struct {
	Seq      int      `json:"seq"`
	Time     string   `json:"ts"`
	Call     string   `json:"call"`          // its id
	Key      string   `json:"key,omitempty"` // that a function with idempotency sends
	Tool     string   `json:"tool"`
	Args     string   `json:"args_sha256"` // the trace has the arguments
	Origins  []Origin `json:"origins,omitempty"`
	Rules    []string `json:"rules,omitempty"` // that had a say, as layer:id
	Verdict  string   `json:"verdict"`         // of the policy
	Approved string   `json:"approved,omitempty"`
	Ran      bool     `json:"ran"`
	Prev     string   `json:"prev"`
	Hash     string   `json:"hash"` // SHA-256 of the line with this field empty
}

// Origin is where a value of a call came from, as records show it. The value
// itself stands in the trace.
type Origin struct {
	Arg    string `json:"arg"`
	Class  string `json:"class"`
	Label  string `json:"label"`
	Source string `json:"source,omitempty"`
}

func origins(leaves []provenance.Leaf) []Origin {
	var out []Origin
	for _, l := range leaves {
		out = append(out, Origin{l.Arg, l.Class.String(), l.Label.String(), l.Source})
	}
	return out
}

// What an entry says of who approved.
const (
	ApprovedYes    = "yes"
	ApprovedNo     = "no"
	ApprovedNobody = "nobody to ask"
)

// auditor writes the entries of a run. The first error sticks.
type auditor struct {
	file *os.File
	now  func() time.Time
	open AuditEntry // the call that was decided and has not come back
	seq  int
	last string // hash of the last line
	err  error
}

func openAudit(path string, now func() time.Time) (*auditor, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &auditor{file: f, now: now}, nil
}

// hear takes an event of the run. A call is written before it runs, as it was
// decided, and again when it is back.
func (a *auditor) hear(e agent.Event) {
	switch e := e.(type) {
	case agent.Decided:
		sum := sha256.Sum256([]byte(e.Call.Args))
		a.open = AuditEntry{Call: e.Call.ID, Key: e.Call.Key, Tool: e.Call.Name(), Args: hex.EncodeToString(sum[:]),
			Origins: origins(e.Leaves), Rules: e.Decision.Rules, Verdict: e.Decision.Verdict.String()}
		a.write(a.open)
	case agent.Approved:
		a.open.Approved = ApprovedNobody
		switch {
		case e.OK:
			a.open.Approved = ApprovedYes
		case e.Asked:
			a.open.Approved = ApprovedNo
		}
		a.write(a.open)
	case agent.Returned:
		if a.open.Call == e.Call.ID && e.Ran {
			a.open.Ran = true
			a.write(a.open)
		}
	}
}

func (a *auditor) write(e AuditEntry) {
	if a.err != nil {
		return
	}
	a.seq++
	e.Seq, e.Time, e.Prev = a.seq, a.now().UTC().Format(time.RFC3339Nano), a.last
	var line []byte
	if e.Hash, line, a.err = seal(e); a.err != nil {
		return
	}
	if _, a.err = a.file.Write(line); a.err == nil {
		a.last, a.err = e.Hash, a.file.Sync()
	}
}

// seal is an entry's hash, and the line with it.
func seal(e AuditEntry) (hash string, line []byte, err error) {
	e.Hash = ""
	bare, err := encodeLine(e)
	if err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(bare)
	e.Hash = hex.EncodeToString(sum[:])
	line, err = encodeLine(e)
	return e.Hash, line, err
}

func encodeLine(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

func (a *auditor) close() error {
	if err := a.file.Close(); a.err == nil {
		a.err = err
	}
	return a.err
}

// VerifyAudit reads the chain of a run and checks every link. Last is the hash
// that the last line must have; empty, the end is not checked.
func VerifyAudit(r io.Reader, last string) ([]AuditEntry, error) {
	var out []AuditEntry
	prev := ""
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && len(line) == 0 {
			break
		}
		var e AuditEntry
		if json.Unmarshal(line, &e) != nil {
			return out, fmt.Errorf("line %d is no entry, or cut short", n)
		}
		hash, sealed, err := seal(e)
		switch {
		case err != nil:
			return out, err
		case e.Hash != hash || !bytes.Equal(sealed, line):
			return out, fmt.Errorf("line %d was changed: its hash does not fit", n)
		case e.Prev != prev || e.Seq != n:
			return out, fmt.Errorf("line %d does not follow line %d: a line was dropped, put in or moved", n, n-1)
		}
		prev = e.Hash
		out = append(out, e)
	}
	if last != "" && prev != last {
		return out, errors.New("the end is missing: the result names another last line")
	}
	return out, nil
}

// ReadAudit verifies the chain of the run in a folder. Ended says whether the
// run has a result, which names the chain's end.
func ReadAudit(runDir string) (entries []AuditEntry, ended bool, err error) {
	f, err := os.Open(filepath.Join(runDir, "audit.jsonl"))
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	var res Result
	switch b, e := os.ReadFile(filepath.Join(runDir, "result.json")); {
	case errors.Is(e, fs.ErrNotExist):
	case e != nil:
		return nil, false, e
	default:
		if ended = true; json.Unmarshal(b, &res) != nil {
			return nil, true, errors.New("result.json cannot be read")
		}
	}
	entries, err = VerifyAudit(f, res.Audit)
	if err == nil && ended && res.Audit == "" && len(entries) > 0 {
		err = errors.New("the result names no end of the chain")
	}
	return entries, ended, err
}
