package chrome

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/chromedp/chromedp/kb"
)

// Click clicks an element where it is shown. accept has the dialogs that come of
// it accepted.
func (l *Live) Click(ctx context.Context, ref int, accept bool, limits Limits) (Outcome, error) {
	return l.act(ctx, limits, accept, func() (chan error, error) {
		var at struct{ X, Y float64 }
		if err := l.ask(ctx, "spot", &at, ref); err != nil {
			return nil, err
		}
		for _, kind := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
			event := map[string]any{"type": kind, "x": at.X, "y": at.Y}
			if kind != "mouseMoved" {
				event["button"], event["clickCount"] = "left", 1
			}
			if err := l.input(ctx, "Input.dispatchMouseEvent", event); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

// Type puts a text in the place of what an element holds, or with add behind it;
// submit presses Enter after it.
func (l *Live) Type(ctx context.Context, ref int, text string, add, submit bool, limits Limits) (Outcome, error) {
	return l.act(ctx, limits, false, func() (chan error, error) {
		var r struct{ Done bool }
		if err := l.ask(ctx, "edit", &r, ref, text, add); err != nil {
			return nil, err
		}
		if !r.Done {
			if err := l.input(ctx, "Input.insertText", map[string]any{"text": text}); err != nil {
				return nil, err
			}
		}
		if !submit {
			return nil, nil
		}
		return nil, l.press(ctx, "Enter")
	})
}

// Select chooses options of a list by their labels or values.
func (l *Live) Select(ctx context.Context, ref int, options []string, limits Limits) (Outcome, error) {
	return l.act(ctx, limits, false, func() (chan error, error) {
		return nil, l.ask(ctx, "select", nil, ref, options)
	})
}

// Press presses a key, on an element or with ref 0 where the focus is: a
// character or a name (Enter, Escape, ArrowDown), after modifiers as in
// Control+Shift+k.
func (l *Live) Press(ctx context.Context, ref int, key string, limits Limits) (Outcome, error) {
	return l.act(ctx, limits, false, func() (chan error, error) {
		if _, err := parseKey(key); err != nil {
			return nil, err
		}
		if ref != 0 {
			if err := l.ask(ctx, "focus", nil, ref); err != nil {
				return nil, err
			}
		}
		return nil, l.press(ctx, key)
	})
}

// File is one that is given to a page.
type File struct {
	Name, Type string
	Content    []byte
}

// Upload gives files to an element that takes them. They go through the
// protocol, so the browser needs to see no folder of ours.
func (l *Live) Upload(ctx context.Context, ref int, files []File, limits Limits) (Outcome, error) {
	return l.act(ctx, limits, false, func() (chan error, error) {
		var list []map[string]string
		for _, f := range files {
			list = append(list, map[string]string{"name": f.Name, "type": f.Type, "data": base64.StdEncoding.EncodeToString(f.Content)})
		}
		return nil, l.ask(ctx, "upload", nil, ref, list)
	})
}

// input sends an event of a mouse or a keyboard. It is answered when the page
// has dealt with it, which a dialog delays: that is no reason to wait.
func (l *Live) input(ctx context.Context, method string, params map[string]any) error {
	done := make(chan error, 1)
	l.t.work.Go(func() {
		ctx, cancel := context.WithTimeout(l.t.alive, callTime)
		defer cancel()
		done <- l.t.call(ctx, method, params, nil)
	})
	timeout := time.NewTimer(l.t.limits.Time)
	defer timeout.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-l.t.changed:
			if err := l.Ended(); err != nil {
				return err
			}
		case <-timeout.C:
			l.t.change(func() { l.t.stuck = true })
			return errBusy
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// press sends a key that parseKey has read.
func (l *Live) press(ctx context.Context, key string) error {
	events, err := parseKey(key)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := l.input(ctx, "Input.dispatchKeyEvent", e); err != nil {
			return err
		}
	}
	return nil
}

var modifiers = map[string]kb.Modifier{"alt": kb.ModifierAlt, "control": kb.ModifierCtrl, "ctrl": kb.ModifierCtrl,
	"meta": kb.ModifierMeta, "shift": kb.ModifierShift}

// named are the keys that are no characters.
var named = func() map[string]rune {
	out := map[string]rune{"space": ' '}
	for r, k := range kb.Keys {
		if utf8.RuneCountInString(k.Key) > 1 && r != '\n' {
			out[strings.ToLower(k.Key)] = r
		}
	}
	return out
}()

// parseKey reads a key with its modifiers into the events of pressing it.
func parseKey(key string) ([]map[string]any, error) {
	parts := strings.Split(key, "+")
	if strings.HasSuffix(key, "++") || key == "+" {
		parts = append(strings.Split(strings.TrimSuffix(strings.TrimSuffix(key, "+"), "+"), "+"), "+")
	}
	var held kb.Modifier
	for _, p := range parts[:len(parts)-1] {
		if p == "" {
			continue
		}
		m, ok := modifiers[strings.ToLower(p)]
		if !ok {
			return nil, fmt.Errorf("%q is no modifier; there are Alt, Control, Meta and Shift", p)
		}
		held |= m
	}
	last := parts[len(parts)-1]
	r, size := utf8.DecodeRuneInString(last)
	if size != len(last) || size == 0 {
		var ok bool
		if r, ok = named[strings.ToLower(last)]; !ok {
			return nil, fmt.Errorf("there is no key %q; use a character, or a name as Enter, Tab, Escape, Backspace, ArrowDown, PageDown, Home", last)
		}
	}
	var out []map[string]any
	for _, e := range kb.Encode(r) {
		if e.Type == kb.KeyChar && held&(kb.ModifierCtrl|kb.ModifierMeta|kb.ModifierAlt) != 0 {
			continue // a shortcut types nothing
		}
		m := map[string]any{"type": string(e.Type), "key": e.Key, "code": e.Code, "modifiers": int64(held) | e.Modifiers,
			"windowsVirtualKeyCode": e.WindowsVirtualKeyCode, "nativeVirtualKeyCode": e.NativeVirtualKeyCode}
		if e.Text != "" {
			m["text"], m["unmodifiedText"] = e.Text, e.UnmodifiedText
		}
		if e.Type == kb.KeyDown && held&(kb.ModifierCtrl|kb.ModifierMeta) != 0 && (r == 'a' || r == 'A') {
			m["commands"] = []string{"selectAll"} // editing shortcuts are the window's, which a headless one lacks
		}
		out = append(out, m)
	}
	return out, nil
}
