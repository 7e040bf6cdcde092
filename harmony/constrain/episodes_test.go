package constrain

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chorale/harmony"
)

// episode is a line of a model's eval.jsonl: what it is told, and what it must
// say.
type episode struct {
	ID    int
	Turns []struct{ Expect, Then string }
	Tools []string

	Functions []harmony.Function
}

func (ep *episode) conversation(t *testing.T) Conversation {
	var c Conversation
	for _, name := range ep.Tools {
		switch name {
		case "python":
			c.Tools = append(c.Tools, harmony.Python())
		case "browser":
			c.Tools = append(c.Tools, harmony.Browser())
		default:
			t.Fatalf("episode %d: unknown tool %s", ep.ID, name)
		}
	}
	for i, f := range ep.Functions {
		if string(f.Parameters) == "null" {
			ep.Functions[i].Parameters = nil
		}
	}
	if len(ep.Functions) > 0 {
		c.Tools = append(c.Tools, harmony.Namespace{Name: harmony.FunctionsNamespace, Functions: ep.Functions})
	}
	return c
}

// TestEpisodes: everything that the embedded model must say in its held-out
// episodes is legal under the grammar of its conversation, token by token as it
// says it, and with headers in single bytes. AGENT_MODELS may list trees with
// more of them.
func TestEpisodes(t *testing.T) {
	for i, tree := range append([]string{"../testdata"}, filepath.SplitList(os.Getenv("AGENT_MODELS"))...) {
		if tree == "" {
			continue
		}
		episodes, turns := 0, 0
		files, others := modelFiles(t, tree)
		for _, path := range files {
			v := pocket(t)
			if own, err := os.ReadFile(filepath.Join(filepath.Dir(path), "tokenizer.json")); err == nil {
				e, err := harmony.FromTokenizerJSON(own)
				if err != nil {
					t.Fatal(err)
				}
				v = prepare(t, e)
			}
			for line := range bytes.Lines(contents(t, path)) {
				var ep episode
				if err := json.Unmarshal(line, &ep); err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				episodes++
				turns += len(ep.Turns)
				ep.check(t, v)
			}
		}
		t.Logf("%s: %d turns of %d episodes", tree, turns, episodes)
		if episodes == 0 && (i == 0 || others == 0) {
			t.Errorf("%s holds no eval.jsonl and nothing else of a model", tree)
		}
	}
}

func (ep *episode) check(t *testing.T, v *Vocabulary) {
	g := grammarOf(t, v, ep.conversation(t))
	s, b := g.Start(), g.Start()
	for _, turn := range ep.Turns {
		if err := follow(s, v.enc, turn.Expect); err != nil {
			t.Errorf("episode %d: %s: %v", ep.ID, turn.Expect, err)
			return
		}
		if err := followBytes(b, v.enc, turn.Expect); err != nil {
			t.Errorf("episode %d, byte by byte: %s: %v", ep.ID, turn.Expect, err)
			return
		}
		if s.Ended() {
			s, b = g.Start(), g.Start() // behind a tool's result
			continue
		}
		forced := s.Forced()
		if want := v.enc.EncodeWithSpecial(turn.Then); len(forced) < len(want) || !slices.Equal(forced[:len(want)], want) {
			t.Errorf("episode %d: behind %s comes %s", ep.ID, turn.Expect, spelled(v.enc, forced))
		}
		if err := follow(s, v.enc, turn.Then); err != nil {
			t.Errorf("episode %d: %v", ep.ID, err)
		}
		if err := followBytes(b, v.enc, turn.Then); err != nil {
			t.Errorf("episode %d, byte by byte: %v", ep.ID, err)
		}
	}
}

// modelFiles finds the files of episodes in a tree, and counts what else of
// models is there.
func modelFiles(t *testing.T, tree string) (episodes []string, others int) {
	t.Helper()
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		switch name := strings.TrimSuffix(filepath.Base(path), ".gz"); {
		case err != nil:
			return err
		case name == "eval.jsonl":
			episodes = append(episodes, path)
		case name == "config.json", name == "tokenizer.json", name == "golden.json", name == "kernels.json":
			others++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return episodes, others
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
