package constrain

import (
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"chorale/harmony"
)

// measurement is a line of what TestMeasure writes.
type measurement struct {
	Implementation string  `json:"implementation"`
	Metric         string  `json:"metric"`
	N              int     `json:"n"`
	P50            float64 `json:"p50"`
	P90            float64 `json:"p90"`
	P99            float64 `json:"p99"`
	Max            float64 `json:"max"`
	Mean           float64 `json:"mean"`
}

func summarize(metric string, xs []float64) measurement {
	slices.Sort(xs)
	at := func(q float64) float64 { return xs[min(len(xs)-1, int(q*float64(len(xs))))] }
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return measurement{"chorale", metric, len(xs), at(.5), at(.9), at(.99), xs[len(xs)-1], sum / float64(len(xs))}
}

// TestMeasure writes to the file that AGENT_BENCH_CONSTRAIN names how long the
// corpus takes, as testdata/peers.py does for the peers: thread CPU time, each
// schema compiled anew, each valid document fed token by token. What the peers
// are fed goes to the file that AGENT_BENCH_PEERS names.
func TestMeasure(t *testing.T) {
	name := os.Getenv("AGENT_BENCH_CONSTRAIN")
	if name == "" {
		t.Skip("AGENT_BENCH_CONSTRAIN names no file")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	v := o200k()
	end := v.enc.Control().Call
	var compile, first, masks, accept, single []float64
	ms := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	for _, c := range readCases(t, "testdata/schemas/schemas.jsonl") {
		runtime.GC()
		at := cpuTime()
		s, err := v.Compile(c.Schema, Options{End: []harmony.Token{end}})
		took := cpuTime() - at
		if err != nil {
			continue
		}
		compile = append(compile, ms(took))
		for _, doc := range c.Valid {
			m := s.Start()
			for i, id := range v.enc.Encode(compact(t, doc)) {
				at := cpuTime()
				mask := m.Mask()
				took := us(cpuTime() - at)
				if masks = append(masks, took); i == 0 {
					first = append(first, took)
				}
				if _, ok := mask.Single(); ok {
					single = append(single, took)
				}
				at = cpuTime()
				err := m.Accept(id)
				accept = append(accept, us(cpuTime()-at))
				if err != nil {
					t.Fatalf("%s: %s: %v", c.Name, doc, err)
				}
				if took > 400 && testing.Verbose() {
					t.Logf("slow: %s after %q: %.0f us", c.Name, m.text, took)
				}
			}
		}
		if x := compile[len(compile)-1]; x > 1 && testing.Verbose() {
			t.Logf("slow: %s compiles in %.1f ms", c.Name, x)
		}
	}
	if name := os.Getenv("AGENT_BENCH_PEERS"); name != "" {
		writePeers(t, v, name)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e := json.NewEncoder(f)
	for _, m := range []measurement{
		summarize("compile ms", compile), summarize("first mask us", first),
		summarize("mask us", masks), summarize("accept us", accept),
	} {
		if err := e.Encode(m); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d masks of %d have one token", len(single), len(masks))
}

// writePeers writes what testdata/peers.py reads: the vocabulary, and each schema
// with the tokens of its valid documents.
func writePeers(t *testing.T, v *Vocabulary, name string) {
	type peerCase struct {
		Schema json.RawMessage   `json:"schema"`
		Tokens [][]harmony.Token `json:"tokens"`
	}
	var input struct {
		Vocabulary [][]byte   `json:"vocabulary"` // nothing for a token without text
		End        uint32     `json:"end"`
		Cases      []peerCase `json:"cases"`
	}
	for id := range harmony.Token(v.enc.VocabSize()) {
		var text []byte
		if v.text.Has(id) {
			text = []byte(v.enc.TokenText(id))
		}
		input.Vocabulary = append(input.Vocabulary, text)
	}
	input.End = v.enc.Control().Call
	for _, c := range readCases(t, "testdata/schemas/schemas.jsonl") {
		p := peerCase{Schema: c.Schema}
		for _, doc := range c.Valid {
			p.Tokens = append(p.Tokens, v.enc.Encode(compact(t, doc)))
		}
		input.Cases = append(input.Cases, p)
	}
	data, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
