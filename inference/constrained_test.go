package inference_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"chorale/harmony"
	"chorale/harmony/constrain"
	"chorale/inference"
	"chorale/inference/internal/golden"
)

// setting is what an episode's model is told.
type setting struct {
	ID        int
	Kind      string
	Tools     []string
	Functions []harmony.Function
}

func (s *setting) conversation() constrain.Conversation {
	var c constrain.Conversation
	for _, name := range s.Tools {
		c.Tools = append(c.Tools, map[string]harmony.Namespace{"python": harmony.Python(), "browser": harmony.Browser()}[name])
	}
	if len(s.Functions) > 0 {
		c.Tools = append(c.Tools, harmony.Namespace{Name: harmony.FunctionsNamespace, Functions: s.Functions})
	}
	return c
}

// readSettings reads the settings of the episodes of a file, by their number.
func readSettings(t *testing.T, path string) map[int]setting {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]setting{}
	for line := range strings.Lines(string(src)) {
		var s setting
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		for i, f := range s.Functions {
			if string(f.Parameters) == "null" {
				s.Functions[i].Parameters = nil
			}
		}
		out[s.ID] = s
	}
	return out
}

// unforced is a constraint that has everything sampled.
type unforced struct{ *constrain.Speech }

func (unforced) Forced() []uint32 { return nil }

// TestHeavyConstrained plays held-out episodes under the grammar of their
// conversation, on both backends. The model says what it says freely wherever
// that is right. Forced tokens are the ones that it would have said under the
// mask, and save passes, guesses apart.
func TestHeavyConstrained(t *testing.T) {
	if golden.Race {
		t.Skip("the replay runs without the race detector")
	}
	t.Run("cpu", func(t *testing.T) { playConstrained(t, "cpu", 14) })
	t.Run("vulkan", func(t *testing.T) { playConstrained(t, "software", 7) })
}

func playConstrained(t *testing.T, device string, n int) {
	// Guesses save passes as well, those most that repeat what was played before.
	p := newPlayer(t, inference.Pocket, inference.Options{Device: device, Context: 4096, Plain: true})
	v, err := constrain.NewVocabulary(p.enc)
	if err != nil {
		t.Fatal(err)
	}
	settings := readSettings(t, ownEpisodes)
	exact, forced, sampled := 0, 0, 0
	for _, e := range ofEachKind(readEpisodes(t, ownEpisodes), n) {
		s, err := p.model.NewSession(inference.Sampling{})
		if err != nil {
			t.Fatal(err)
		}
		free, err := p.play(s, &e)
		if err != nil {
			t.Fatal(err)
		}
		set := settings[e.ID]
		g, err := v.Harmony(set.conversation())
		if err != nil {
			t.Fatalf("episode %d: %v", e.ID, err)
		}
		before := s.Stats()
		got := p.playUnder(t, s, &e, func() inference.Constraint { return g.Start() })
		middle := s.Stats()
		want := p.playUnder(t, s, &e, func() inference.Constraint { return unforced{g.Start()} })
		after := s.Stats()
		if !slices.Equal(got.said, want.said) {
			t.Errorf("episode %d: forced %v, sampled %v", e.ID, got.said, want.said)
		}
		if free.exact && !slices.Equal(got.said, free.said) {
			t.Errorf("episode %d: constrained %v, free %v", e.ID, got.said, free.said)
		}
		if set.Kind != "copy" && middle.Passes-before.Passes >= after.Passes-middle.Passes {
			t.Errorf("episode %d: %d passes with forced tokens, %d without", e.ID, middle.Passes-before.Passes, after.Passes-middle.Passes)
		}
		if got.exact {
			exact++
		}
		forced += middle.Forced - before.Forced
		sampled += middle.Decoded - before.Decoded
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d of %d exact, %d tokens forced and %d sampled", exact, n, forced, sampled)
}

// ofEachKind takes n episodes, the kinds in turn.
func ofEachKind(all []episode, n int) (out []episode) {
	kinds := []string{"func", "web", "instr", "multi", "py", "func2", "chat"}
	for i := 0; len(out) < n; i++ {
		at := slices.IndexFunc(all, func(e episode) bool { return e.Kind == kinds[i%len(kinds)] })
		out = append(out, all[at])
		all = slices.Delete(slices.Clone(all), at, at+1)
	}
	return out
}

// playUnder is play with a constraint for each message.
func (p *player) playUnder(t *testing.T, s *inference.Session, e *episode, constrained func() inference.Constraint) (o outcome) {
	t.Helper()
	prompt := p.enc.EncodeWithSpecial(e.Prompt)
	for _, turn := range e.Turns {
		want := p.enc.EncodeWithSpecial(turn.Expect)
		var said []uint32
		for id, err := range s.Generate(context.Background(), prompt, p.enc.StopTokens(), constrained()) {
			if err != nil {
				t.Fatalf("episode %d: %v", e.ID, err)
			}
			if said = append(said, id); len(said) > 2*len(want)+20 {
				break // it has lost its way
			}
		}
		o.said = append(o.said, said...)
		if !slices.Equal(said, want) {
			return o
		}
		prompt = append(append(prompt, want...), p.enc.EncodeWithSpecial(turn.Then)...)
	}
	o.exact = true
	return o
}
