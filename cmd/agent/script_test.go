package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"chorale/tools/python"
)

// asAgent makes this test binary the program itself.
const asAgent = "AGENT_TEST_AS_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(asAgent) != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"agent": main})
}

// TestHeavyScripts runs the program for real: the embedded model on the CPU,
// Python in its sandbox, the example functions as processes. See
// testdata/script. With the race detector one script must do.
func TestHeavyScripts(t *testing.T) {
	needPython(t)
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if race {
		files = []string{"testdata/script/task.txtar"}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Files: files,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_CACHE_HOME", cache)
			env.Setenv("AGENT_DEVICE", "cpu")
			env.Setenv("NO_COLOR", "1")
			return os.CopyFS(filepath.Join(env.WorkDir, "examples"), os.DirFS("../../examples"))
		},
		Condition: func(name string) (bool, error) {
			if name != "hup" {
				return false, fmt.Errorf("there is no condition %s", name)
			}
			return !signal.Ignored(syscall.SIGHUP), nil // which a program cannot take back for its children
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"finished": finished,
			"await":    await,
			"lines":    lines,
			"holds":    holds,
			"code":     code,
			"webhook":  webhook,
		},
	})
}

// needPython fails a test in CI, and skips it elsewhere, if Python is not set up.
func needPython(t *testing.T) {
	t.Helper()
	if python.Prepared("", python.Basic) {
		return
	}
	const why = "the Python sandbox is missing; run `agent setup python`"
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// finished checks that the last line of the last command's output is the end of
// a stream: finished STATUS EXIT_CODE [FINAL].
func finished(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: finished STATUS EXIT_CODE [FINAL]")
	}
	out := strings.TrimRight(ts.ReadFile("stdout"), "\n")
	var last struct {
		Type     string `json:"type"`
		Status   string `json:"status"`
		ExitCode *int   `json:"exit_code"`
		Final    *string
	}
	line := out[strings.LastIndex(out, "\n")+1:]
	ts.Check(json.Unmarshal([]byte(line), &last))
	if last.Type != "run.finished" || last.Status != args[0] || last.ExitCode == nil || fmt.Sprint(*last.ExitCode) != args[1] || last.Final == nil {
		ts.Fatalf("last line is %s, want run.finished with status %s and exit code %s", line, args[0], args[1])
	}
	if len(args) > 2 && *last.Final != args[2] {
		ts.Fatalf("final answer is %q, want %q", *last.Final, args[2])
	}
}

// await waits for a file that matches a pattern.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await PATTERN")
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if found, err := filepath.Glob(ts.MkAbs(args[0])); err != nil || len(found) > 0 {
			ts.Check(err)
			return
		}
	}
	ts.Fatalf("%s did not appear", args[0])
}

// lines checks that every line of the files that match a pattern is JSON whose
// seq counts from 1, and that the kinds are there: lines PATTERN KIND...
func lines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: lines PATTERN KIND...")
	}
	found, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%s: %d files, want 1", args[0], len(found))
	}
	kinds := map[string]int{}
	seq := 0
	s := bufio.NewScanner(bytes.NewReader([]byte(ts.ReadFile(found[0]))))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var rec struct {
			Seq  int    `json:"seq"`
			Kind string `json:"kind"`
			TS   string `json:"ts"`
		}
		ts.Check(json.Unmarshal(s.Bytes(), &rec))
		if seq++; rec.Seq != seq {
			ts.Fatalf("line %d has seq %d", seq, rec.Seq)
		}
		_, err := time.Parse(time.RFC3339Nano, rec.TS)
		ts.Check(err)
		kinds[rec.Kind]++
	}
	for _, k := range args[1:] {
		if kinds[k] == 0 {
			ts.Fatalf("%s has no record of kind %s: %v", args[0], k, kinds)
		}
	}
}

// code runs a program that must end with an exit code: code N PROGRAM ARG...
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM ARG...")
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code is %d, want %s", got, args[0])
	}
}

// webhook starts a server that gives every question one reply, until the script
// ends, and sets $HOOK to its address. The last question goes into a file:
// webhook REPLY FILE. A reply of "wait" never comes.
func webhook(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: webhook REPLY FILE")
	}
	file := ts.MkAbs(args[1])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = os.WriteFile(file, fmt.Appendf(nil, "%s\nsignature %s\n", body, r.Header.Get("Webhook-Signature")), 0o600)
		}
		if args[0] == "wait" {
			<-r.Context().Done()
		}
		if err == nil {
			_, _ = io.WriteString(w, args[0])
		}
	}))
	ts.Defer(server.Close)
	ts.Setenv("HOOK", server.URL)
}

// holds checks that the one file that a pattern matches holds a text: holds
// PATTERN TEXT.
func holds(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: holds PATTERN TEXT")
	}
	found, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%s: %d files, want 1", args[0], len(found))
	}
	if strings.Contains(ts.ReadFile(found[0]), args[1]) == neg {
		ts.Fatalf("%s: %q is there: %v", found[0], args[1], neg)
	}
}
