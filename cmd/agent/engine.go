package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"chorale/configs"
	"chorale/harmony"
	"chorale/harmony/constrain"
	"chorale/inference"
	"chorale/runtime"
)

// engine is an open model with its vocabulary.
type engine struct {
	place    checkpoint
	model    *inference.Model
	encoding *harmony.Encoding
	dialect  harmony.Dialect
	words    *constrain.Vocabulary // made when a task first asks for it
}

// openEngine opens the model of a task on its device. Notice is told in a
// sentence what the user may want to know.
func openEngine(ctx context.Context, spec runtime.ModelSpec, cfg configs.Config, notice func(string), shown opening) (_ *engine, err error) {
	e := &engine{}
	if e.place, err = findModel(ctx, spec.Ref, cfg.Models); err != nil {
		return nil, fmt.Errorf("open model %q: %w", spec.Ref, err)
	}
	var words chan func() error
	e.model, err = inference.Open(ctx, e.place.path, inference.Options{
		Device: spec.Device, Context: spec.ContextTokens, KV: cfg.KV, Memory: cfg.Memory,
		Kernels: cfg.Kernels, Patience: cfg.Patience, Dense: cfg.Dense, Plain: cfg.Guess == configs.GuessOff, Notice: notice, Progress: shown.loaded, Testing: shown.tested,
		Read: func(src inference.Tokenizer, err error) {
			words = make(chan func() error, 1)
			go func() { words <- e.readVocabulary(src, err, spec.Constrain != runtime.ConstrainOff) }()
		},
	})
	if err != nil {
		if words != nil {
			<-words
		}
		return nil, errors.Join(err, e.Close())
	}
	debug.SetGCPercent(garbage(e.model.Info().Memory.HeapBytes))
	if err := (<-words)(); err != nil {
		return nil, errors.Join(fmt.Errorf("open model %q: %w", spec.Ref, err), e.Close())
	}
	return e, nil
}

// recall begins to read what the model said in earlier runs, where it is to guess
// from that. What it returns waits for it and gives it to the model.
func recall(spec runtime.ModelSpec, cfg configs.Config) func(*engine) {
	if cfg.Guess != configs.GuessOn {
		return func(*engine) {}
	}
	said := make(chan [][]harmony.Token, 1)
	go func() { said <- runtime.Recall(cfg.Runs, spec.Ref, inference.Before) }()
	return func(e *engine) {
		for _, message := range <-said {
			e.model.Remember(message)
		}
	}
}

// garbage is how much garbage, in percent of the heap, Go's collector may let
// pile up: a quarter of a gigabyte. Its own rule would be as much again as is in
// use, and gigabytes of a KV cache are in use.
func garbage(heap int64) int {
	const most = 256e6
	return int(min(max(most*100/max(heap, 1), 10), 100))
}

// readVocabulary takes the checkpoint's own tokenizer, or the standard one, and
// prepares to constrain the model where that is wanted. It works beside the opening
// of the model, and returns what sets the engine up when that is done.
func (e *engine) readVocabulary(src inference.Tokenizer, err error, constrained bool) func() error {
	var enc *harmony.Encoding
	var words *constrain.Vocabulary
	switch {
	case err != nil:
	case src.JSON != nil:
		enc, err = harmony.FromTokenizerJSON(src.JSON)
	case src.Lists != nil:
		enc, err = harmony.FromVocabulary(harmony.Vocabulary(*src.Lists))
	default:
		enc = harmony.O200kHarmony()
	}
	if err == nil && constrained {
		if words, err = constrain.NewVocabulary(enc); err != nil {
			err = fmt.Errorf("constrain the model: %w", err)
		}
	}
	return func() error {
		e.encoding, e.words = enc, words
		return cmp.Or(err, e.readDialect())
	}
}

// readDialect takes the dialect that the checkpoint wants, if it says.
func (e *engine) readDialect() (err error) {
	if name := e.model.Info().Dialect; name != "" {
		if e.dialect, err = harmony.ParseDialect(name); err != nil {
			return fmt.Errorf("tokenizer_config.json: %w", err)
		}
	}
	return nil
}

// session starts a conversation with the sampling that the task asks for, or
// greedily: the same task then gives the same run.
func (e *engine) session(spec runtime.ModelSpec) (*inference.Session, error) {
	return e.model.NewSession(inference.Sampling{
		Temperature: value(spec.Temperature), TopP: value(spec.TopP), TopK: value(spec.TopK),
		MinP: value(spec.MinP), Seed: value(spec.Seed), Forbid: e.forbidden(),
	})
}

// workOf returns what counts a session's work, for the trace.
func workOf(s *inference.Session) func() runtime.Work {
	return func() runtime.Work {
		st := s.Stats()
		return runtime.Work{Reused: st.Reused, Prefilled: st.Prefilled, Decoded: st.Decoded, Passes: st.Passes,
			Guessed: st.Guessed, Right: st.Hit, Readback: st.Readback, Doubts: st.Doubts}
	}
}

// vocabulary is what constrains the model, nil where the task turns that off.
func (e *engine) vocabulary(spec runtime.ModelSpec) (_ *constrain.Vocabulary, err error) {
	if spec.Constrain == runtime.ConstrainOff {
		return nil, nil
	}
	if e.words == nil {
		if e.words, err = constrain.NewVocabulary(e.encoding); err != nil {
			return nil, fmt.Errorf("constrain the model: %w", err)
		}
	}
	return e.words, nil
}

// forbidden are the ids that the model has logits for and was not trained to
// say: reserved tokens, and what lies behind the vocabulary.
func (e *engine) forbidden() []uint32 {
	var out []uint32
	for id := range uint32(e.model.Info().Vocab) {
		if !e.encoding.Sampleable(id) {
			out = append(out, id)
		}
	}
	return out
}

// String says what computes: "pocket on CPU (2 threads)".
func (e *engine) String() string {
	info := e.model.Info()
	return cmp.Or(e.place.name, info.Name) + " on " + info.Device
}

// Close frees the model, and gives it back.
func (e *engine) Close() (err error) {
	if e.model != nil {
		err = e.model.Close()
	}
	return errors.Join(err, e.place.Close())
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
