package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"chorale/inference"
	"chorale/inference/hub"
	"chorale/inference/store"
	"chorale/runtime"
)

// pullView shows a pull: on a terminal a bar for each file on its way and one for
// all, else a line for every tenth, or JSON lines.
type pullView struct {
	std   streams
	json  bool
	err   error // of writing JSON: nobody listens any more
	files []*transfer
	total int64
	rate  rate

	drawn int       // lines of bars on the terminal
	last  time.Time // when they were drawn
	tenth int64     // last one that was told
}

// transfer is one file of a pull.
type transfer struct {
	path        string
	size, done  int64
	hashed      int64
	begun, here bool
	told        time.Time
}

func newPullView(std streams, asJSON bool) *pullView {
	return &pullView{std: std, json: asJSON, rate: rate{now: time.Now}}
}

// tell takes one event.
func (v *pullView) tell(e hub.Event) {
	v.note(e)
	switch {
	case v.json:
		v.stream(e)
	case v.std.terminal:
		v.live(e)
	default:
		v.plain(e)
	}
}

// note keeps count.
func (v *pullView) note(e hub.Event) {
	if p, ok := e.(store.Planned); ok {
		for _, f := range p.Files {
			v.files = append(v.files, &transfer{path: f.Path, size: f.Size})
			v.total += f.Size
		}
		return
	}
	t := v.find(e.About())
	if t == nil {
		return
	}
	switch e := e.(type) {
	case hub.Received:
		if t.begun && e.Done > t.done {
			v.rate.add(e.Done - t.done)
		}
		t.begun, t.done = true, e.Done
	case hub.Checking:
		t.hashed = e.Done
	case hub.Discarded:
		t.begun, t.done, t.hashed = false, 0, 0
	case store.Done:
		t.here, t.done = true, t.size
	}
}

func (v *pullView) find(path string) *transfer {
	i := slices.IndexFunc(v.files, func(t *transfer) bool { return t.path == path })
	if i < 0 {
		return nil
	}
	return v.files[i]
}

func (v *pullView) done() (n int64) {
	for _, t := range v.files {
		n += t.done
	}
	return n
}

// sentence is what a person should know of an event; empty: nothing.
func (v *pullView) sentence(e hub.Event) string {
	switch e := e.(type) {
	case store.Planned:
		return fmt.Sprintf("%s at %.12s: %s, %s, to %s", e.Repo, e.Commit, count(len(e.Files), "file"), inference.GB(v.total), e.Dir)
	case store.Waiting:
		return "another process has " + e.Repo + "; waiting for it"
	case hub.Retrying:
		return fmt.Sprintf("%s: %v; trying again in %s", e.Path, e.Err, span(e.Wait))
	case hub.Discarded:
		return fmt.Sprintf("%s: %v; fetching it again", e.Path, e.Err)
	}
	return ""
}

// plain writes lines for a log.
func (v *pullView) plain(e hub.Event) {
	if s := v.sentence(e); s != "" {
		v.std.log.Info(show(s))
	}
	if d, ok := e.(store.Done); ok {
		v.std.log.Info(show(d.Path + ": " + d.How))
	}
	if v.total == 0 {
		return
	}
	if tenth := v.done() * 10 / v.total; tenth > v.tenth && v.total >= longBytes {
		v.tenth = tenth
		v.std.log.Info(v.progress())
	}
}

// progress is the whole pull in words: how much, how fast, how long still.
func (v *pullView) progress() string {
	done := v.done()
	s := fmt.Sprintf("%d %%, %s of %s", done*100/max(v.total, 1), inference.GB(done), inference.GB(v.total))
	if r := v.rate.value(); r > 0 && done < v.total {
		left := time.Duration(float64(v.total-done) / r * float64(time.Second))
		s += fmt.Sprintf(", %.1f MB/s, %s left", r/1e6, left.Round(time.Second))
	}
	return s
}

// live redraws the bars.
func (v *pullView) live(e hub.Event) {
	s := v.sentence(e)
	if s == "" && time.Since(v.last) < 100*time.Millisecond {
		return
	}
	v.last = time.Now()
	v.clear()
	if s != "" {
		fmt.Fprintln(v.std.err, show(s))
	}
	frame := v.frame(v.std.width)
	for _, line := range frame {
		fmt.Fprintln(v.std.err, line)
	}
	v.drawn = len(frame)
}

// clear takes the bars away.
func (v *pullView) clear() {
	if v.drawn > 0 {
		fmt.Fprintf(v.std.err, "\033[%dA\r\033[J", v.drawn)
		v.drawn = 0
	}
}

// frame is the bars: of the files on their way, and of all. No line is wider than
// the terminal.
func (v *pullView) frame(width int) []string {
	var out []string
	for _, t := range v.files {
		switch {
		case t.here || !t.begun && t.hashed == 0:
		case t.hashed > 0:
			out = append(out, barLine(t.path, t.hashed, t.size, "checking", width))
		default:
			out = append(out, barLine(t.path, t.done, t.size, fmt.Sprintf("%s of %s", inference.GB(t.done), inference.GB(t.size)), width))
		}
	}
	if v.total == 0 {
		return out
	}
	return append(out, barLine("in all", v.done(), v.total, v.progress(), width))
}

// barLine is a name, a bar and words, cut to the width.
func barLine(name string, done, total int64, words string, width int) string {
	const bar, named = 20, 24
	if len(name) > named {
		name = "…" + name[len(name)-named+1:]
	}
	full := int(done * bar / max(total, 1))
	line := []rune(fmt.Sprintf("%-*s [%s%s] %s", named, show(name), strings.Repeat("#", full), strings.Repeat(".", bar-full), words))
	return string(line[:min(len(line), max(width-1, 1))])
}

// often is how often a file's progress is told in JSON.
const often = 500 * time.Millisecond

// pullRecord is a JSON line.
type pullRecord struct {
	Type     string       `json:"type"`
	Repo     string       `json:"repo,omitempty"`
	Commit   string       `json:"commit,omitempty"`
	Dir      string       `json:"dir,omitempty"`
	Path     string       `json:"path,omitempty"`
	Done     *int64       `json:"done,omitempty"`
	Size     *int64       `json:"size,omitempty"`
	How      string       `json:"how,omitempty"`
	Error    string       `json:"error,omitempty"`
	Wait     *float64     `json:"wait,omitempty"` // seconds
	Files    []store.File `json:"files,omitempty"`
	Digest   string       `json:"digest,omitempty"`
	ExitCode *int         `json:"exit_code,omitempty"`
}

func (v *pullView) stream(e hub.Event) {
	t := v.find(e.About())
	switch e := e.(type) {
	case store.Planned:
		r := pullRecord{Type: "pull.planned", Repo: e.Repo, Commit: e.Commit, Dir: e.Dir, Size: &v.total}
		for _, f := range e.Files {
			r.Files = append(r.Files, store.File{Path: f.Path, Size: f.Size, SHA256: f.Digest.SHA256})
		}
		v.line(r)
	case store.Waiting:
		v.line(pullRecord{Type: "pull.waiting", Repo: e.Repo})
	case hub.Retrying:
		wait := e.Wait.Seconds()
		v.line(pullRecord{Type: "pull.retrying", Path: e.Path, Error: e.Err.Error(), Wait: &wait})
	case hub.Discarded:
		v.line(pullRecord{Type: "pull.discarded", Path: e.Path, Error: e.Err.Error()})
	case store.Done:
		v.line(pullRecord{Type: "pull.file", Path: e.Path, How: e.How})
	case hub.Received:
		v.counted("pull.received", t, e.Done)
	case hub.Checking:
		v.counted("pull.checking", t, e.Done)
	}
}

// counted tells how far a file is, not too often.
func (v *pullView) counted(kind string, t *transfer, done int64) {
	if t == nil || time.Since(t.told) < often {
		return
	}
	t.told = time.Now()
	v.line(pullRecord{Type: kind, Path: t.path, Done: &done, Size: &t.size})
}

func (v *pullView) line(r pullRecord) {
	if v.err == nil {
		v.err = json.NewEncoder(v.std.out).Encode(r)
	}
}

// finish says how the pull ended. An error that is no JSON line is the caller's to
// tell.
func (v *pullView) finish(m store.Model, code int, err error) error {
	if v.json {
		r := pullRecord{Type: "pull.finished", ExitCode: &code}
		if code == 0 {
			r.Repo, r.Commit, r.Dir, r.Files, r.Digest = m.Repo, m.Commit, m.Dir, m.Files, store.Digest(m.Files)
		} else {
			r.Error = err.Error()
		}
		v.line(r)
		return v.err
	}
	v.clear()
	if code != runtime.ExitDone {
		return nil
	}
	_, err = fmt.Fprintln(v.std.out, summary(m))
	return err
}

// rate is bytes per second over the last seconds.
type rate struct {
	now     func() time.Time
	samples []sample
}

type sample struct {
	at time.Time
	n  int64
}

// window is how far back a rate looks.
const window = 5 * time.Second

func (r *rate) add(n int64) {
	now := r.now()
	if k := len(r.samples); k > 0 && now.Sub(r.samples[k-1].at) < 100*time.Millisecond {
		r.samples[k-1].n += n
		return
	}
	r.samples = append(r.samples, sample{now, n})
	for now.Sub(r.samples[0].at) > window {
		r.samples = r.samples[1:]
	}
}

// value is 0 until there is something to go by.
func (r *rate) value() float64 {
	if len(r.samples) < 2 {
		return 0
	}
	var n int64
	for _, s := range r.samples[1:] {
		n += s.n
	}
	return float64(n) / max(r.now().Sub(r.samples[0].at), time.Millisecond).Seconds()
}
