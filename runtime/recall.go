package runtime

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"

	"chorale/harmony"
)

// Bounds of what is recalled: the latest runs, and of their traces the first bytes.
const (
	recalledRuns  = 64
	recalledBytes = 2 << 20
)

// Recall returns the messages of the model in the latest runs of a folder, oldest
// first, each behind the last tokens that stood before it, at most so many. Of runs
// of another model than the reference it returns nothing: their tokens mean something
// else. What cannot be read is left out; it is used for guesses only, which need not
// be right.
func Recall(runs, model string, before int) (messages [][]harmony.Token) {
	entries, _ := os.ReadDir(runs) // sorted by name, which is by time
	left := int64(recalledBytes)
	for i, n := len(entries)-1, 0; i >= 0 && n < recalledRuns && left > 0; i, n = i-1, n+1 {
		path := filepath.Join(runs, entries[i].Name(), "trace.jsonl")
		if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		r := io.LimitedReader{R: f, N: left}
		of := messagesOf(&r, model, before)
		left = r.N
		slices.Reverse(of)
		messages = append(messages, of...)
		f.Close()
	}
	slices.Reverse(messages)
	return messages
}

// messagesOf returns the messages of one trace.
func messagesOf(r io.Reader, model string, before int) (messages [][]harmony.Token) {
	lines := bufio.NewReader(r)
	var context []harmony.Token
	for started := false; ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return messages // a last line without an end is cut short
		}
		var rec struct {
			Kind, Model string
			Tokens      []harmony.Token
		}
		if started && !bytes.Contains(line, []byte(`"tokens":[`)) || json.Unmarshal(line, &rec) != nil {
			continue
		}
		if !started {
			if started = rec.Kind == KindStarted && rec.Model == model; !started {
				return nil
			}
		}
		if rec.Kind == KindMessage {
			messages = append(messages, slices.Concat(context[max(0, len(context)-before):], rec.Tokens))
		}
		context = append(context, rec.Tokens...)
	}
}
