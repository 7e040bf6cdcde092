package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"chorale/harmony"
	"chorale/harmony/constrain"
)

// corpus is the schemas with documents that are valid under them, from the root
// of the repository.
const corpus = "harmony/constrain/testdata/schemas/schemas.jsonl"

// measurement is how the times of one implementation are spread over the corpus
// of schemas. peers/constrain/peer.py writes the same, a line each.
type measurement struct {
	Implementation string
	Metric         string // with its unit at the end
	N              int
	P50, P99, Max  float64
}

func summarize(metric string, xs []float64) measurement {
	slices.Sort(xs)
	at := func(q float64) float64 { return xs[min(len(xs)-1, int(q*float64(len(xs))))] }
	return measurement{Implementation: ours, Metric: metric, N: len(xs), P50: at(.5), P99: at(.99), Max: xs[len(xs)-1]}
}

// schemaCase is a schema with the tokens of its valid documents.
type schemaCase struct {
	Schema json.RawMessage   `json:"schema"`
	Tokens [][]harmony.Token `json:"tokens"`
}

func readCorpus(e *harmony.Encoding) (cases []schemaCase, err error) {
	data, err := os.ReadFile(corpus)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(data) {
		var c struct{ Schema, Valid json.RawMessage }
		var valid []json.RawMessage
		if err := errors.Join(json.Unmarshal(line, &c), json.Unmarshal(c.Valid, &valid)); err != nil {
			return nil, fmt.Errorf("%s: %w", corpus, err)
		}
		read := schemaCase{Schema: c.Schema}
		for _, doc := range valid {
			var b bytes.Buffer
			if err := json.Compact(&b, doc); err != nil {
				return nil, fmt.Errorf("%s: %w", corpus, err)
			}
			read.Tokens = append(read.Tokens, e.Encode(b.String()))
		}
		cases = append(cases, read)
	}
	return cases, nil
}

// writePeerInput writes what peers/constrain/peer.py reads: the vocabulary, and
// each schema with the tokens of its valid documents.
func writePeerInput(file string) error {
	e := harmony.O200kHarmony()
	cases, err := readCorpus(e)
	if err != nil {
		return err
	}
	input := struct {
		Vocabulary [][]byte      `json:"vocabulary"` // nothing for a token without text
		End        harmony.Token `json:"end"`
		Cases      []schemaCase  `json:"cases"`
	}{End: e.Control().Call, Cases: cases}
	for id := range harmony.Token(e.VocabSize()) {
		var text []byte
		if !e.IsSpecial(id) {
			text = []byte(e.TokenText(id))
		}
		input.Vocabulary = append(input.Vocabulary, text)
	}
	data, err := json.Marshal(input)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

// serveSchemas goes through the corpus and writes how long that took, in CPU time
// of the thread: each schema is compiled anew, each valid document fed token by
// token.
func serveSchemas(out io.Writer) error {
	runtime.LockOSThread()
	e := harmony.O200kHarmony()
	cases, err := readCorpus(e)
	if err != nil {
		return err
	}
	v, err := constrain.NewVocabulary(e)
	if err != nil {
		return err
	}
	var compile, first, masks, accept []float64
	for _, c := range cases {
		runtime.GC() // what the last schema left is not this one's to pay for
		start := threadTime()
		s, err := v.Compile(c.Schema, constrain.Options{End: []harmony.Token{e.Control().Call}})
		if err != nil {
			continue
		}
		compile = append(compile, (threadTime()-start).Seconds()*1e3)
		for _, ids := range c.Tokens {
			m := s.Start()
			for i, id := range ids {
				start := threadTime()
				m.Mask()
				if masks = append(masks, micros(threadTime()-start)); i == 0 {
					first = append(first, masks[len(masks)-1])
				}
				start = threadTime()
				err := m.Accept(id)
				accept = append(accept, micros(threadTime()-start))
				if err != nil {
					return fmt.Errorf("%s: a valid document: %w", c.Schema, err)
				}
			}
		}
	}
	lines := json.NewEncoder(out)
	for _, m := range []measurement{
		summarize("compile ms", compile), summarize("first mask us", first),
		summarize("mask us", masks), summarize("accept us", accept),
	} {
		if err := lines.Encode(m); err != nil {
			return err
		}
	}
	return nil
}

func micros(d time.Duration) float64 { return d.Seconds() * 1e6 }
