package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"chorale/agent"
	"chorale/policies"
	"chorale/tools"
)

var (
	first  = tools.Call{Tool: "functions", Function: "delete", Args: `{"path":"a"}`}
	second = tools.Call{Tool: "functions", Function: "delete", Args: `{"path":"b"}`}
)

// put asks about a call and types an answer as soon as the question is shown.
func put(t *testing.T, a *approver, keyboard io.Writer, c tools.Call, answer string) bool {
	t.Helper()
	return ask(t, a, keyboard, agent.Question{Call: c}, answer)
}

func ask(t *testing.T, a *approver, keyboard io.Writer, q agent.Question, answer string) bool {
	t.Helper()
	go func() {
		synctest.Wait()
		_, _ = io.WriteString(keyboard, answer)
	}()
	ok, err := a.Approve(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestApprove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, keyboard := io.Pipe()
		defer keyboard.Close()
		var screen bytes.Buffer
		a := newApprover(in, newView(&screen, 80))

		_, _ = io.WriteString(keyboard, "y\n") // to no question
		synctest.Wait()
		if put(t, a, keyboard, first, "n\n") {
			t.Error("what was typed before the question has answered it")
		}
		if put(t, a, keyboard, first, "what?\nno\ny\n") {
			t.Error("a no became a yes")
		}
		synctest.Wait()
		if put(t, a, keyboard, first, "N\n") {
			t.Error("a line left from one question has answered the next")
		}
		if !put(t, a, keyboard, first, "y\n") {
			t.Error("a yes became a no")
		}
		if !put(t, a, keyboard, first, "a\n") {
			t.Error("an «again» became a no")
		}
		if ok, err := a.Approve(t.Context(), agent.Question{Call: first}); !ok || err != nil {
			t.Errorf("an equal call is asked for again: %v, %v", ok, err)
		}
		if once := (policies.Decision{Remember: policies.ForOnce}); ask(t, a, keyboard, agent.Question{Call: first, Decision: once}, "n\n") {
			t.Error("an «again» holds where a yes is for once")
		}
		if put(t, a, keyboard, second, "\nn\n") {
			t.Error("an «again» holds for other arguments")
		}
		if asked := strings.Count(screen.String(), "allow it?"); asked != 9 {
			t.Errorf("asked %d times, want 9", asked)
		}

		ctx, cancel := context.WithCancelCause(t.Context())
		stopped := errors.New("stopped")
		cancel(stopped)
		if ok, err := a.Approve(ctx, agent.Question{Call: second}); ok || !errors.Is(err, stopped) {
			t.Errorf("a run that was stopped gave %v, %v", ok, err)
		}
		keyboard.Close()
		synctest.Wait()
		if ok, err := a.Approve(t.Context(), agent.Question{Call: second}); ok || err != nil {
			t.Errorf("the end of input gave %v, %v", ok, err)
		}
	})
}
