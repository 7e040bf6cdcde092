package inference

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chorale/inference/internal/lookup"
)

// turn is one run of Generate.
type turn struct {
	*Session
	stop       []uint32
	constraint Constraint
	yield      func(uint32, error) bool
	guessed    *lookup.Guess // of what follows the last step's certain tokens; nil for none
	said       []uint32      // in this turn
	over       bool          // a stop token came, or the consumer left the loop
}

// generate returns nil when the turn is over.
func (t *turn) generate(ctx context.Context, prompt []uint32) error {
	if len(prompt) == 0 {
		return errors.New("the prompt is empty")
	}
	if len(prompt) > t.m.info.Context {
		return &ContextError{Need: len(prompt), Context: t.m.info.Context}
	}
	forced, err := t.force(ctx)
	if err != nil || t.over {
		return err
	}
	st, err := t.prefill(ctx, prompt, forced)
	defer func() { t.m.said.Add(slices.Concat(prompt[max(0, len(prompt)-Before):], t.said), t.hits) }()
	for err == nil {
		var certain []uint32
		if certain, err = t.speak(ctx, st); err != nil || t.over {
			return err
		}
		start := time.Now()
		st = t.newStep(certain)
		t.guess(st)
		err = t.run(ctx, st)
		t.stats.DecodeTime += time.Since(start)
		t.stats.Prefilled += len(certain) - 1
	}
	return err
}

// prefill brings the cache to hold the prompt, and forced tokens behind it, and
// chooses the token after them. The last token is computed anew even if it is
// there: its logits are not kept.
//
// Where the new text begins and where the prompt ends are marked: a turn that is
// edited, or said again without what was thought in it, comes back to one of
// them.
func (t *turn) prefill(ctx context.Context, prompt, forced []uint32) (*step, error) {
	start := time.Now()
	defer func() { t.stats.PrefillTime += time.Since(start) }()
	all := slices.Concat(prompt, forced)
	n, err := t.state.Rewind(min(common(t.tokens, all), len(all)-1))
	if err != nil {
		t.tokens = nil
		return nil, err
	}
	t.tokens = t.tokens[:n]
	t.stats.Reused += n
	if err := t.state.Mark(n); err != nil {
		return nil, err
	}
	st := t.newStep(all[n:])
	if err := t.run(ctx, st); err != nil {
		return nil, err
	}
	if !t.m.plain {
		t.index.Set(t.tokens)
	}
	t.stats.Prefilled += len(all) - n
	return st, t.state.Mark(len(prompt) - 1)
}

// speak emits what a step drew, as far as its guess was right, and what is forced
// behind it. It returns the last token that was drawn with what is forced behind
// it: that is what the next step begins with.
func (t *turn) speak(ctx context.Context, st *step) (certain []uint32, err error) {
	at := 0 // in the guess
	for i, token := range st.Tokens {
		t.draws++
		t.stats.Decoded++
		if err := t.emit(token); err != nil || t.over {
			return nil, err
		}
		right := t.judge(at, token)
		forced, err := t.force(ctx)
		if err != nil || t.over {
			return nil, err
		}
		certain = append([]uint32{token}, forced...)
		if i == len(st.follow) || !right || !slices.Equal(certain, st.follow[i]) {
			return certain, nil
		}
		at += len(certain)
		t.stats.Hit++
		t.stats.Prefilled += len(forced)
		t.tokens = append(t.tokens, certain...)
		t.index.Append(certain...)
	}
	return certain, nil
}

// force emits what the constraint leaves no choice about, and returns it.
func (t *turn) force(ctx context.Context) (forced []uint32, err error) {
	for ids := t.constraint.Forced(); len(ids) > 0 && !t.over; ids = t.constraint.Forced() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, id := range ids {
			t.stats.Forced++
			forced = append(forced, id)
			if err := t.emit(id); err != nil || t.over {
				return forced, err
			}
		}
	}
	return forced, nil
}

// emit hands a token to the constraint and to the consumer.
func (t *turn) emit(token uint32) error {
	if err := t.constraint.Accept(token); err != nil {
		return fmt.Errorf("the constraint refuses token %d: %w", token, err)
	}
	if !t.m.plain {
		t.said = append(t.said, token)
	}
	t.over = !t.yield(token, nil) || slices.Contains(t.stop, token)
	return nil
}

// anything is the constraint of a model that may say what it likes.
type anything struct{}

func (anything) Fork() Constraint    { return anything{} }
func (anything) Mask() []uint64      { return nil }
func (anything) Forced() []uint32    { return nil }
func (anything) Accept(uint32) error { return nil }
