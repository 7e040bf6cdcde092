package python

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// tested is the interpreter that the tests run on: basic, or what
// AGENT_PYTHON_RUNTIME says.
var tested = Runtime(cmp.Or(os.Getenv("AGENT_PYTHON_RUNTIME"), string(Basic)))

// notPrepared is why the interpreter is missing, if it is.
var notPrepared error

// TestMain sees that the interpreter is there. It costs nothing where
// `agent setup python` has run.
func TestMain(m *testing.M) {
	notPrepared = Prepare(context.Background(), PrepareOptions{Runtime: tested})
	if notPrepared != nil && os.Getenv("CI") == "true" {
		fmt.Fprintf(os.Stderr, "the Python interpreter is missing; run `agent setup python`: %v\n", notPrepared)
		os.Exit(1)
	}
	code := m.Run()
	if e := sharedEngine.load; e != nil {
		if e, err := e(); err == nil {
			e.Close()
		}
	}
	os.Exit(code)
}

// sharedEngine is loaded by the first test that needs it.
var sharedEngine = struct{ load func() (*Engine, error) }{
	sync.OnceValues(func() (*Engine, error) { return Load(context.Background(), "", tested) }),
}

// newSession returns a session that ends with the test.
func newSession(t testing.TB, o Options) *Session {
	t.Helper()
	if notPrepared != nil {
		t.Skipf("the Python interpreter is missing: %v", notPrepared)
	}
	e, err := sharedEngine.load()
	if err != nil {
		t.Fatal(err)
	}
	o.Engine = e
	s, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the session: %v", err)
		}
	})
	return s
}

// run runs a cell that the session must survive as a Go value.
func run(t testing.TB, s *Session, code string) Output {
	t.Helper()
	out, err := s.Run(context.Background(), code)
	if err != nil {
		t.Fatalf("run %q: %v", code, err)
	}
	return out
}

// want runs a cell and compares the text that a model would read.
func want(t testing.TB, s *Session, code, text string) {
	t.Helper()
	if out := run(t, s, code); out.Text != text {
		t.Errorf("%s\n got %q\nwant %q", code, out.Text, text)
	}
}

// alive checks that the session answers.
func alive(t testing.TB, s *Session) {
	t.Helper()
	want(t, s, "print(6 * 7)", "42\n")
}

// within fails the test if f takes longer.
func within(t testing.TB, limit time.Duration, what string, f func()) {
	t.Helper()
	from := time.Now()
	f()
	if took := time.Since(from); took > limit {
		t.Errorf("%s took %s, want at most %s", what, took, limit)
	}
}
