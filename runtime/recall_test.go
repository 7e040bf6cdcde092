package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"chorale/harmony"
)

// TestRecall reads folders of runs as they may be: of several models, cut short, with
// what is no run at all.
func TestRecall(t *testing.T) {
	started := func(model string) string { return fmt.Sprintf(`{"kind":"run.started","model":%q}`+"\n", model) }
	const talk = `{"kind":"prompt","tokens":[1,2,3]}
{"kind":"started","channel":"final"}
{"kind":"message","tokens":[4,5],"message":{"content":"so"}}
{"kind":"prompt","tokens":[6]}
{"kind":"message","tokens":[7]}
`
	runs := t.TempDir()
	for name, trace := range map[string]string{
		"20260101-000000-a": started("pocket") + talk,
		"20260101-000001-b": started("other") + talk,
		"20260101-000002-c": started("pocket") + `{"kind":"message","tokens":[8]}` + "\nnot JSON\n" + `{"kind":"message","tokens":[9`,
		"20260101-000003-d": talk, // of a program that did not say the model
		"20260101-000004-e": "",
	} {
		if err := os.Mkdir(filepath.Join(runs, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(runs, name, "trace.jsonl"), []byte(trace), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(runs, "20260101-000005-f", "trace.jsonl"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := [][]harmony.Token{{2, 3, 4, 5}, {5, 6, 7}, {8}}
	if got := Recall(runs, "pocket", 2); !reflect.DeepEqual(got, want) {
		t.Errorf("recalled %v, want %v", got, want)
	}
	if got := Recall(filepath.Join(runs, "none"), "pocket", 2); got != nil {
		t.Errorf("recalled %v from no folder", got)
	}

	// The latest runs come first where there are too many, or too large ones.
	long := started("pocket") + strings.Repeat(`{"kind":"message","tokens":[1,1,1]}`+"\n", recalledBytes/100)
	for i := range recalledRuns {
		name := filepath.Join(runs, fmt.Sprintf("20260102-%06d-g", i))
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		trace := started("pocket") + fmt.Sprintf(`{"kind":"message","tokens":[%d]}`+"\n", i)
		if i == 1 {
			trace = long
		}
		if err := os.WriteFile(filepath.Join(name, "trace.jsonl"), []byte(trace), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := Recall(runs, "pocket", 2)
	if n := recalledRuns + recalledBytes/100 - 1; len(got) != n || got[0][0] != 0 || got[n-1][0] != recalledRuns-1 {
		t.Errorf("recalled %d messages, from %v to %v, want those of the %d latest runs, %d", len(got), got[0], got[len(got)-1], recalledRuns, n)
	}
	if err := os.WriteFile(filepath.Join(runs, "20260102-000062-g", "trace.jsonl"), []byte(strings.Repeat(long, 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Recall(runs, "pocket", 2); len(got) > recalledBytes/30 || got[len(got)-1][0] != recalledRuns-1 {
		t.Errorf("recalled %d messages, the last %v", len(got), got[len(got)-1])
	}
}
