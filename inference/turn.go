package inference

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// turn is one run of Generate.
type turn struct {
	*Session
	stop       []uint32
	constraint Constraint
	yield      func(uint32, error) bool
	over       bool // a stop token came, or the consumer left the loop
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
	token, err := t.prefill(ctx, prompt, forced, t.constraint.Mask())
	for err == nil {
		t.stats.Decoded++
		if err = t.emit(token); err != nil || t.over {
			return err
		}
		if forced, err = t.force(ctx); err != nil || t.over {
			return err
		}
		start := time.Now()
		token, err = t.extend(ctx, append([]uint32{token}, forced...), t.constraint.Mask())
		t.stats.DecodeTime += time.Since(start)
		t.stats.Prefilled += len(forced)
	}
	return err
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
	t.over = !t.yield(token, nil) || slices.Contains(t.stop, token)
	return nil
}

// anything is the constraint of a model that may say what it likes.
type anything struct{}

func (anything) Mask() []uint64      { return nil }
func (anything) Forced() []uint32    { return nil }
func (anything) Accept(uint32) error { return nil }
