package runtime

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"chorale/agent"
	"chorale/harmony"
	"chorale/tools"
)

// Record is one line of a trace. Seq counts from 1 without gaps; a delta bears
// the number of the record before it. Which fields are set depends on Kind.
type Record struct {
	Time string `json:"ts"`
	Seq  int    `json:"seq"`
	Kind string `json:"kind"`
	Turn int    `json:"turn"`

	Task      string          `json:"task,omitempty"`      // run.started
	Run       string          `json:"run,omitempty"`       // run.started: the id, which agent approve takes
	Model     string          `json:"model,omitempty"`     // run.started: as the task names it
	Message   *Message        `json:"message,omitempty"`   // message
	Tokens    []harmony.Token `json:"tokens,omitempty"`    // prompt, message: the exact ids
	Channel   string          `json:"channel,omitempty"`   // started
	Recipient string          `json:"recipient,omitempty"` // started
	Text      string          `json:"text,omitempty"`      // delta, trouble, notice, tool.result; prompt: what the ids spell
	Call      *Call           `json:"call,omitempty"`      // policy, approval, tool.result
	Decision  *Decision       `json:"decision,omitempty"`  // policy
	Asked     *bool           `json:"asked,omitempty"`     // approval: was there anybody to ask
	OK        *bool           `json:"ok,omitempty"`        // approval, tool.result
	Ran       *bool           `json:"ran,omitempty"`       // tool.result: did the tool run at all
	Artifacts []string        `json:"artifacts,omitempty"` // tool.result: names as the model knows them
	Forced    int             `json:"forced,omitempty"`    // message: how many of its tokens the grammar left no choice about
	Mended    []Mended        `json:"mended,omitempty"`    // message: faults that the parser mended
	Work      *Work           `json:"work,omitempty"`      // message: since the one before; run.finished: in all
	Result    *Result         `json:"result,omitempty"`    // run.finished
}

// Work is what the model's engine has done.
type Work struct {
	Reused    int   `json:"reused"`    // prompt tokens that were in its cache
	Prefilled int   `json:"prefilled"` // prompt tokens that it computed
	Decoded   int   `json:"decoded"`   // tokens that it sampled
	Passes    int   `json:"passes"`    // runs of the model
	Guessed   int   `json:"guessed"`   // tokens that were run along before they were sampled
	Right     int   `json:"right"`     // of these, those that were sampled then
	Readback  int64 `json:"readback"`  // bytes from a GPU, to choose tokens
	Doubts    int   `json:"doubts"`    // tokens for which that was all logits
}

// since is what was done after an earlier moment.
func (w Work) since(v Work) *Work {
	return &Work{w.Reused - v.Reused, w.Prefilled - v.Prefilled, w.Decoded - v.Decoded, w.Passes - v.Passes,
		w.Guessed - v.Guessed, w.Right - v.Right, w.Readback - v.Readback, w.Doubts - v.Doubts}
}

// Mended is a fault in a message of the model that the parser put right.
type Mended struct {
	Kind  string `json:"kind"`  // as harmony.RepairKind has it
	Token int    `json:"token"` // of the record's tokens, at which it was known
}

// Message is a message of the model, as the trace shows it.
type Message struct {
	Role      string `json:"role"`
	Name      string `json:"name,omitempty"`
	Recipient string `json:"recipient,omitempty"`
	Channel   string `json:"channel,omitempty"`
	Type      string `json:"type,omitempty"`
	Content   string `json:"content"`
}

// Call is a tool call, as the trace shows it.
type Call struct {
	ID   string `json:"id"`
	Tool string `json:"tool"` // the recipient: "functions.get_price"
	Args string `json:"args"` // exactly as the model wrote them
}

// Decision is the policy's word, as the trace shows it.
type Decision struct {
	Verdict string   `json:"verdict"`
	Layer   string   `json:"layer,omitempty"`
	Rule    string   `json:"rule,omitempty"`
	Reason  string   `json:"reason,omitempty"`
	Origins []Origin `json:"origins,omitempty"` // where each value of the arguments came from, in their order
}

// The kinds of records.
const (
	KindStarted  = "run.started"
	KindPrompt   = "prompt"      // rendered into the history: start, tool result, notice
	KindBegun    = "started"     // the model begins a message
	KindDelta    = "delta"       // a piece of it; in streams, not in trace files
	KindMessage  = "message"     // the whole message, as sampled
	KindPolicy   = "policy"      // what the policy decided
	KindApproval = "approval"    // what a person decided
	KindResult   = "tool.result" // what the model was told of its call
	KindTrouble  = "trouble"     // a message that could not be used
	KindNotice   = "notice"      // what became of the model's device; nothing of it is said to the model
	KindFinished = "run.finished"
)

// recorder turns events into records, in order.
type recorder struct {
	now      func() time.Time
	encoding *harmony.Encoding
	seq      int
	turn     int
}

// of returns the record of an event, not yet numbered.
func (r *recorder) of(e agent.Event) Record {
	rec := Record{}
	switch e := e.(type) {
	case agent.Rendered:
		rec.Kind, rec.Tokens, rec.Text = KindPrompt, e.Tokens, r.spell(e.Tokens)
	case agent.Started:
		r.turn = e.Turn
		rec.Kind, rec.Channel, rec.Recipient = KindBegun, e.Channel, e.Recipient
	case agent.Delta:
		rec.Kind, rec.Text = KindDelta, e.Text
	case agent.Sampled:
		r.turn = e.Turn
		rec.Kind, rec.Tokens, rec.Forced, rec.Message = KindMessage, e.Tokens, e.Forced, message(e.Message)
		for _, m := range e.Repairs {
			rec.Mended = append(rec.Mended, Mended{m.Kind.String(), m.Token})
		}
	case agent.Decided:
		rec.Kind, rec.Call, rec.Decision = KindPolicy, call(e.Call), decision(e)
	case agent.Approved:
		rec.Kind, rec.Call, rec.Asked, rec.OK = KindApproval, call(e.Call), &e.Asked, &e.OK
	case agent.Returned:
		ok := e.Ran && !e.Result.Failed
		rec.Kind, rec.Call, rec.Text, rec.OK, rec.Ran = KindResult, call(e.Call), e.Result.Text, &ok, &e.Ran
		for _, a := range e.Result.Artifacts {
			rec.Artifacts = append(rec.Artifacts, a.Name)
		}
	case agent.Trouble:
		rec.Kind, rec.Text = KindTrouble, e.Notice
	default:
		panic(fmt.Sprintf("runtime: no record for %T", e))
	}
	return rec
}

// number gives a record its time, place and turn.
func (r *recorder) number(rec Record) Record {
	if rec.Kind != KindDelta {
		r.seq++
	}
	rec.Time, rec.Seq, rec.Turn = r.now().UTC().Format(time.RFC3339Nano), r.seq, r.turn
	return rec
}

// spell writes tokens as text, control tokens by name. It is for readers; the
// ids are what counts.
func (r *recorder) spell(tokens []harmony.Token) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(r.encoding.TokenText(t))
	}
	return b.String()
}

func message(m harmony.Message) *Message {
	return &Message{Role: m.Role.String(), Name: m.Name, Recipient: m.Recipient, Channel: m.Channel, Type: m.ContentType, Content: m.Text()}
}

func call(c tools.Call) *Call { return &Call{ID: c.ID, Tool: c.Name(), Args: c.Args} }

func decision(e agent.Decided) *Decision {
	d := e.Decision
	return &Decision{Verdict: d.Verdict.String(), Layer: d.Layer.String(), Rule: d.Rule, Reason: d.Reason, Origins: origins(e.Leaves)}
}

// tracer numbers records, shows them to whoever watches, and keeps them.
type tracer struct {
	recorder
	journal *journal
	watch   func(Record)
	notices func() []string
	work    func() Work
	done    Work        // at the last message
	stop    func(error) // ends the run: one that leaves no trace does not go on
}

// write writes a record, and after it what is to be told; the end comes last.
func (t *tracer) write(rec Record) {
	switch {
	case t.work == nil:
	case rec.Kind == KindMessage:
		now := t.work()
		rec.Work, t.done = now.since(t.done), now
	case rec.Kind == KindFinished:
		rec.Work = t.work().since(Work{})
	}
	if rec.Kind != KindFinished {
		t.put(rec)
	}
	if t.notices != nil {
		for _, text := range t.notices() {
			t.put(Record{Kind: KindNotice, Text: text})
		}
	}
	if rec.Kind == KindFinished {
		t.put(rec)
	}
}

func (t *tracer) put(rec Record) {
	rec = t.number(rec)
	if t.watch != nil {
		t.watch(rec)
	}
	if rec.Kind == KindDelta {
		return
	}
	t.journal.append(rec)
	if rec.Kind == KindMessage || rec.Kind == KindResult {
		t.journal.sync()
	}
	if t.journal.err != nil {
		t.stop(t.journal.err)
	}
}

// journal appends records to trace.jsonl. Each is one write, so that a crash
// can only cut the last line short; sync makes what was written so far survive
// a crash of the machine. The first error sticks.
type journal struct {
	file *os.File
	err  error
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &journal{file: f}, nil
}

func (j *journal) append(rec Record) {
	if j.err != nil {
		return
	}
	e := json.NewEncoder(j.file)
	e.SetEscapeHTML(false)
	j.err = e.Encode(rec)
}

func (j *journal) sync() {
	if j.err == nil {
		j.err = j.file.Sync()
	}
}

func (j *journal) close() error {
	j.sync()
	if err := j.file.Close(); j.err == nil {
		j.err = err
	}
	return j.err
}
