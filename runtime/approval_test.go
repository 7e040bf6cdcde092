package runtime

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chorale/agent"
	"chorale/policies"
	"chorale/policies/provenance"
	"chorale/tools"
)

var question = agent.Question{
	Call:     tools.Call{ID: "call-7", Key: "k7", Tool: "functions", Function: "send", Args: `{"to":"x"}`},
	Decision: policies.Decision{Verdict: policies.Ask, Rule: "r", Reason: "why"},
	Leaves:   []provenance.Leaf{{Arg: "to", Text: "x", Class: provenance.Destination, Label: provenance.Observed, Source: "functions.read (call-1)", Quote: "to x now"}},
}

// A question waits in the run's folder until it is answered, or its time is up.
func TestDesk(t *testing.T) {
	for answer, want := range map[string]bool{"yes": true, "no": false} {
		dir := t.TempDir()
		done := make(chan bool)
		go func() {
			ok, err := desk{filepath.Join(dir, "approvals"), time.Minute}.Approve(t.Context(), question)
			done <- ok && err == nil
		}()
		var pending []Question
		for end := time.Now().Add(10 * time.Second); len(pending) == 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			pending, _ = Pending(dir)
		}
		if len(pending) != 1 || pending[0].Call != "call-7" || pending[0].Values[0].Label != "observed" || pending[0].Values[0].Quote != "to x now" {
			t.Fatalf("%+v", pending)
		}
		if err := Answer(dir, pending[0], answer == "yes"); err != nil {
			t.Fatal(err)
		}
		if err := Answer(dir, pending[0], answer != "yes"); !errors.Is(err, ErrAnswered) {
			t.Errorf("the opposite of %s was taken too: %v", answer, err)
		}
		if got := <-done; got != want {
			t.Errorf("%s became %v", answer, got)
		}
		if left, err := Pending(dir); len(left) > 0 || err != nil {
			t.Errorf("%v left, %v", left, err)
		}
	}
	if ok, err := (desk{t.TempDir(), time.Millisecond}).Approve(t.Context(), question); ok || err != nil {
		t.Errorf("no answer became %v, %v", ok, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ok, err := (desk{t.TempDir(), time.Minute}).Approve(ctx, question); ok || err == nil {
		t.Errorf("a cancelled question became %v, %v", ok, err)
	}
	if err := Answer(t.TempDir(), Question{Call: "../x"}, true); err == nil {
		t.Error("an answer left the folder")
	}
}

// Only a plain approval is a yes.
func TestWebhook(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    bool
	}{
		{"yes", func(w http.ResponseWriter, r *http.Request) {
			if b := new(strings.Builder); r.Method == http.MethodPost && r.Write(b) == nil && strings.Contains(b.String(), "to x now") {
				_, _ = w.Write([]byte(`{"approve": true}`))
			}
		}, true},
		{"no", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"approve": false}`)) }, false},
		{"not JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`yes`)) }, false},
		{"an error with a yes in it", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = w.Write([]byte(`{"approve": true}`))
		}, false},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/yes", http.StatusFound) }, false},
		{"too slow", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the end of the connection goes unnoticed
			<-r.Context().Done()
		}, false},
	} {
		server := httptest.NewServer(c.handler)
		wait := 10 * time.Second
		if c.name == "too slow" {
			wait = 50 * time.Millisecond
		}
		if ok, err := (Webhook{URL: server.URL, Wait: wait}).Approve(t.Context(), question); ok != c.want || err != nil {
			t.Errorf("%s: %v, %v", c.name, ok, err)
		}
		server.CloseClientConnections()
		server.Close()
		if _, err := (Webhook{URL: server.URL, Wait: wait}).Approve(t.Context(), question); err == nil && c.name != "too slow" {
			t.Errorf("%s: a server that is gone is not told", c.name)
		}
	}
}

// The signature is that of Standard Webhooks; the case is from its specification.
func TestWebhookSignature(t *testing.T) {
	secret, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	Webhook{Secret: secret}.sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got := h.Get("Webhook-Signature"); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" || h.Get("Webhook-Timestamp") != "1614265330" {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{"x", "whsec_", "whsec_AAAA", "whsec_%%%", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} {
		if _, err := ParseSecret(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if secret, err := ParseSecret(""); secret != nil || err != nil {
		t.Errorf("%q, %v", secret, err)
	}
}

// Whatever is changed in a chain is found, and where.
func TestAudit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a, err := openAudit(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, verdict := range []policies.Verdict{policies.Allow, policies.Ask, policies.Deny} {
		d := question.Decision
		d.Verdict, d.Rules = verdict, []string{"user:r"}
		a.hear(agent.Decided{Call: question.Call, Decision: d, Leaves: question.Leaves})
		if verdict == policies.Ask {
			a.hear(agent.Approved{Call: question.Call, Asked: true, OK: true})
		}
		a.hear(agent.Returned{Call: question.Call, Ran: verdict != policies.Deny})
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if entries, err := VerifyAudit(strings.NewReader(text), a.last); err != nil || len(entries) != 6 || entries[3].Approved != ApprovedYes || entries[0].Ran || entries[0].Key != "k7" || !entries[4].Ran {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for name, bad := range map[string]string{
		"changed":     strings.Replace(text, `"verdict":"deny"`, `"verdict":"allow"`, 1),
		"spaced":      strings.Replace(text, `"verdict":"deny"`, `"verdict": "deny"`, 1),
		"with more":   strings.Replace(text, `"ran":false`, `"ran":false,"note":"x"`, 1),
		"dropped":     lines[0] + strings.Join(lines[2:], ""),
		"swapped":     lines[1] + lines[0] + strings.Join(lines[2:], ""),
		"doubled":     lines[0] + text,
		"cut off":     strings.Join(lines[:5], ""),
		"cut in line": text[:len(text)-9],
		"emptied":     "",
	} {
		if _, err := VerifyAudit(strings.NewReader(bad), a.last); err == nil {
			t.Errorf("%s: nothing is found", name)
		}
	}
}
