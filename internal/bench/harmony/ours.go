package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"chorale/harmony"
)

// serve is this project as one of the peers: it answers the lines "LIBRARY WORK
// SECONDS" on its input with the CPU seconds of one run and a number that tells
// that the result is the same as that of the others. The library chorale reads
// as openai-harmony does, chorale-lenient as the agent does.
func serve(folder string) error {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var library, work string
		var seconds float64
		if _, err := fmt.Sscan(in.Text(), &library, &work, &seconds); err != nil {
			return err
		}
		o := harmony.ParseOptions{Dialect: harmony.Compat}
		if library == lenient {
			o.Strictness = harmony.Lenient
		}
		spent, result, err := answer(o, folder, work, seconds)
		if err != nil {
			return err
		}
		fmt.Println(spent, result)
	}
	return nil
}

func answer(o harmony.ParseOptions, folder, work string, seconds float64) (spent float64, result uint64, err error) {
	read := func(name string) (data []byte) {
		data, readErr := os.ReadFile(filepath.Join(folder, name))
		if readErr != nil {
			err = readErr
		}
		return data
	}
	tokens := func() (ids []harmony.Token) {
		if jsonErr := json.Unmarshal(read(work+".json"), &ids); jsonErr != nil {
			err = jsonErr
		}
		return ids
	}
	start := cpuSeconds()
	e := harmony.O200kHarmony()
	if work == "load" {
		return cpuSeconds() - start, 0, nil
	}
	switch work {
	case "vectors":
		result, err = wrong(e, read("vectors.jsonl"))
	case "encode", "spaces", "letters":
		text := string(read(work + ".txt"))
		var ids []harmony.Token
		spent = repeat(seconds, func() { ids = e.Encode(text) })
		result = fingerprint(ids)
	case "decode":
		ids := tokens()
		var text string
		spent = repeat(seconds, func() { text, err = e.Decode(ids) })
		result = uint64(len(text))
	case "render":
		messages, readErr := harmony.ReadConversation(read("render.json"))
		if readErr != nil {
			return 0, 0, readErr
		}
		var ids []harmony.Token
		spent = repeat(seconds, func() { ids, err = e.Render(messages, harmony.RenderOptions{Dialect: o.Dialect}) })
		result = fingerprint(ids)
	case "parse":
		ids := tokens()
		var parsed []harmony.Parsed
		spent = repeat(seconds, func() { parsed, err = e.Parse(ids, o) })
		for i := range parsed {
			result += uint64(len(parsed[i].Text()))
		}
	default:
		ids := tokens()
		spent = repeat(seconds, func() { result, err = stream(e, ids, o, work == "content") })
	}
	return spent, result, err
}

// stream pushes token after token and looks each time at what is new, or at all
// of the content so far.
func stream(e *harmony.Encoding, ids []harmony.Token, o harmony.ParseOptions, content bool) (uint64, error) {
	p := harmony.NewParser(e, o)
	size := 0
	for _, t := range ids {
		ev, err := p.Push(t)
		if err != nil {
			return 0, err
		}
		if content {
			if p.State() == harmony.InContent {
				size = len(p.Content())
			}
		} else if ev.Kind == harmony.Delta {
			size += len(ev.Text)
		}
	}
	return uint64(size), nil
}

// wrong counts the vectors that are encoded otherwise.
func wrong(e *harmony.Encoding, vectors []byte) (n uint64, err error) {
	for line := range bytes.SplitSeq(vectors, []byte("\n")) {
		var v struct {
			Text   string
			Tokens []harmony.Token
		}
		if len(line) == 0 {
			continue
		}
		if err := json.Unmarshal(line, &v); err != nil {
			return 0, err
		}
		if !slices.Equal(e.Encode(v.Text), v.Tokens) {
			n++
		}
	}
	return n, nil
}

func fingerprint(ids []harmony.Token) (h uint64) {
	for _, t := range ids {
		h = h*31 + uint64(t)
	}
	return h
}

// repeat returns the CPU seconds of one run.
func repeat(seconds float64, run func()) float64 {
	start := cpuSeconds()
	for runs := 1; ; runs++ {
		run()
		if spent := cpuSeconds() - start; spent >= seconds {
			return spent / float64(runs)
		}
	}
}
