package chrome

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

//go:embed snapshot.js
var snapshotScript string

// How long the text of a page may take: of one that was cut short, since it may
// never hold still, and of one at rest, which may be as large as it likes. What
// the call has left is the limit in any case.
const (
	takeTime     = 10 * time.Second
	takeRestTime = time.Minute
)

const partSize = 1 << 20 // UTF-16 units of a page that are read at once

// take stops the page and reads it. A page that moves on meanwhile is read
// again.
func (t *tab) take(ctx context.Context, note string) (*Document, error) {
	limit := takeRestTime
	if note != "" {
		limit = takeTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// These reach also a page whose scripts do not rest. After them it holds
	// still.
	if note != "" {
		t.call(ctx, "Runtime.terminateExecution", nil, nil)
	}
	t.call(ctx, "Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	t.call(ctx, "Page.stopLoading", nil, nil)
	var err error
	for range 5 {
		var d *Document
		if d, err = t.snapshot(ctx); err == nil {
			d.Note = note
			return d, nil
		}
		if _, _, why := t.judge(); why != nil {
			return nil, why
		}
		select {
		case <-ctx.Done():
		case <-t.b.Done():
			return nil, errGone
		case <-time.After(50 * time.Millisecond):
			continue
		}
		break
	}
	if ctx.Err() != nil {
		return nil, errors.New("the page is too busy to be read: its scripts never rest; it was closed")
	}
	return nil, fmt.Errorf("read the page: %w", err)
}

func (t *tab) snapshot(ctx context.Context) (*Document, error) {
	w, err := t.newWorld(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := t.evaluateIn(ctx, w, fmt.Sprintf("(%s)(%d)", strings.TrimSpace(snapshotScript), maxHTML))
	if err != nil {
		return nil, err
	}
	d := new(Document)
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, err
	}
	var html strings.Builder
	for {
		raw, err := t.evaluateIn(ctx, w, fmt.Sprintf("nextPart(%d)", partSize))
		if err != nil {
			return nil, err
		}
		var part string
		if err := json.Unmarshal(raw, &part); err != nil {
			return nil, err
		}
		if part == "" {
			d.HTML = html.String()
			return d, nil
		}
		html.WriteString(part)
	}
}

// hasScripts reports whether the page may still change by itself.
func (t *tab) hasScripts(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	raw, err := t.evaluate(ctx, "document.scripts.length > 0 || document.querySelector('iframe') !== null")
	return err != nil || string(raw) != "false"
}

// A world is a place in a page for our scripts, where nothing that the page's own
// changed is seen.
type world int64

func (t *tab) newWorld(ctx context.Context) (world, error) {
	var made struct{ ExecutionContextID world }
	err := t.call(ctx, "Page.createIsolatedWorld", map[string]any{"frameId": t.frame}, &made)
	return made.ExecutionContextID, err
}

// evaluate runs an expression in a world of its own.
func (t *tab) evaluate(ctx context.Context, expression string) (json.RawMessage, error) {
	w, err := t.newWorld(ctx)
	if err != nil {
		return nil, err
	}
	return t.evaluateIn(ctx, w, expression)
}

func (t *tab) evaluateIn(ctx context.Context, w world, expression string) (json.RawMessage, error) {
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	err := t.call(ctx, "Runtime.evaluate", map[string]any{
		"expression":    expression,
		"contextId":     w,
		"returnByValue": true,
		"timeout":       takeRestTime.Milliseconds(),
	}, &r)
	if err != nil {
		return nil, err
	}
	if r.ExceptionDetails != nil {
		return nil, fmt.Errorf("%s %s", r.ExceptionDetails.Text, r.ExceptionDetails.Exception.Description)
	}
	return r.Result.Value, nil
}
