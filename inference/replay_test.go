package inference_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chorale/harmony"
	"chorale/inference"
	"chorale/inference/internal/golden"
)

// episode is one line of an eval.jsonl: what the model must say turn by turn,
// and what comes back from the tools.
type episode struct {
	ID     int
	Kind   string
	Prompt string
	Turns  []struct{ Expect, Then string }
}

// evalSet is a file of episodes with the model that they are for.
type evalSet struct {
	path, model string
	episodes    []episode
	share       float64 // of exact episodes that the model's makers state; 0 where they state none
	held        bool    // other episodes than the stated share was measured on
}

const ownEpisodes = "testdata/pocket/eval.jsonl"

// evalSets returns the embedded model's held-out episodes and those of
// AGENT_MODELS: every eval.jsonl, for the checkpoint beside it, or for the
// embedded one where there is none.
func evalSets(t *testing.T) []evalSet {
	t.Helper()
	sets := []evalSet{{path: ownEpisodes, model: inference.Pocket, share: statedShare(t, "pocket")}}
	for _, tree := range golden.Trees(t, "testdata/models")[1:] {
		for _, path := range golden.Find(t, tree, "eval.jsonl") {
			sets = append(sets, newEvalSet(t, path))
		}
	}
	for i := range sets {
		sets[i].episodes = readEpisodes(t, sets[i].path)
	}
	return sets
}

// newEvalSet finds the checkpoint of an eval.jsonl and what is stated of it. The
// figures are for the episodes of the embedded model's file; on others the share
// may differ by chance.
func newEvalSet(t *testing.T, path string) evalSet {
	t.Helper()
	dir := filepath.Dir(path)
	set := evalSet{path: path, model: dir, share: statedShare(t, dir), held: !sameFile(t, path, ownEpisodes)}
	config := filepath.Join(dir, "config.json")
	if _, err := os.Stat(config); errors.Is(err, os.ErrNotExist) {
		set.model, set.share = inference.Pocket, statedShare(t, "pocket")
	} else if set.share == 0 && sameFile(t, filepath.Join(dir, "model.safetensors"), "pocket/model.safetensors") {
		set.share = statedShare(t, "pocket")
	}
	return set
}

// sameFile reports whether two files are there and hold the same bytes.
func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	x, errX := os.ReadFile(a)
	y, errY := os.ReadFile(b)
	for _, err := range []error{errX, errY} {
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// stated is how a model's README gives its accuracy.
var stated = regexp.MustCompile(`\*\*(\d+) of (\d+) exact`)

// statedShare reads accuracy.json, {"episodes": 400, "exact": 390}, or the
// README beside the model. Ours must have the former.
func statedShare(t *testing.T, dir string) float64 {
	t.Helper()
	var a struct{ Episodes, Exact int }
	b, err := os.ReadFile(filepath.Join(dir, "accuracy.json"))
	if err == nil {
		err = json.Unmarshal(b, &a)
	} else if readme, err2 := os.ReadFile(filepath.Join(dir, "README.md")); err2 == nil && dir != "pocket" {
		if m := stated.FindSubmatch(readme); m != nil {
			_, err = fmt.Sscan(string(m[1])+" "+string(m[2]), &a.Exact, &a.Episodes)
		}
	}
	if dir == "pocket" && (err != nil || a.Episodes == 0) {
		t.Fatalf("pocket/accuracy.json: %d episodes, %v", a.Episodes, err)
	}
	return float64(a.Exact) / float64(max(a.Episodes, 1))
}

func readEpisodes(t testing.TB, path string) (all []episode) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var e episode
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%s, line %d: %v", path, len(all)+1, err)
		}
		if e.Prompt == "" || len(e.Turns) == 0 || e.Turns[0].Expect == "" {
			t.Fatalf("%s, line %d: no prompt or nothing to expect", path, len(all)+1)
		}
		all = append(all, e)
	}
	if err := lines.Err(); err != nil || len(all) == 0 {
		t.Fatalf("%s: %d episodes, %v", path, len(all), err)
	}
	return all
}

// outcome is what the model said, up to the first token that is wrong.
type outcome struct {
	exact bool
	said  []uint32
}

// player plays episodes with one model.
type player struct {
	enc   *harmony.Encoding
	model *inference.Model
}

// play lets the model answer each turn freely and greedily, up to its stop
// token, and feeds in the tool results that the episode gives. It ends where
// the model says something else than expected.
func (p *player) play(s *inference.Session, e *episode) (o outcome, err error) {
	prompt := p.enc.EncodeWithSpecial(e.Prompt)
	for _, turn := range e.Turns {
		want := p.enc.EncodeWithSpecial(turn.Expect)
		n := 0
		for id, err := range s.Generate(context.Background(), prompt, p.enc.StopTokens(), nil) {
			if err != nil {
				return o, fmt.Errorf("episode %d: %w", e.ID, err)
			}
			o.said = append(o.said, id)
			if id != want[n] {
				return o, nil
			}
			if n++; n == len(want) {
				break
			}
		}
		if n < len(want) {
			return o, nil
		}
		prompt = append(append(prompt, want...), p.enc.EncodeWithSpecial(turn.Then)...)
	}
	o.exact = true
	return o, nil
}

// sessions is how many play at once: as many as share a pass.
const sessions = 8

// playAll plays episodes on several sessions at once, neighbours on the same one.
func (p *player) playAll(t *testing.T, episodes []episode) []outcome {
	t.Helper()
	outcomes := make([]outcome, len(episodes))
	var all sync.WaitGroup
	for i := range sessions {
		s, err := p.model.NewSession(inference.Sampling{})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer s.Close()
			for e := len(episodes) * i / sessions; e < len(episodes)*(i+1)/sessions; e++ {
				if outcomes[e], err = p.play(s, &episodes[e]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return outcomes
}

func newPlayer(t testing.TB, ref string, o inference.Options) *player {
	t.Helper()
	m, err := inference.Open(context.Background(), ref, o)
	if err != nil && o.Device == "software" && os.Getenv("CI") != "true" {
		t.Skipf("no software Vulkan driver here: %v", err)
	}
	if err != nil {
		t.Fatalf("%v (on Debian and Ubuntu: apt install libvulkan1 mesa-vulkan-drivers)", err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	src, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	enc := harmony.O200kHarmony()
	if src.JSON != nil {
		if enc, err = harmony.FromTokenizerJSON(src.JSON); err != nil {
			t.Fatal(err)
		}
	}
	return &player{enc: enc, model: m}
}

// TestReplay plays the held-out episodes through tokenizer, engine and sampler,
// on the CPU and on Vulkan. On each, the share that comes out exact must be the
// stated one: within a point on the same episodes, within the noise of sampling
// on others. The two must agree, wrong tokens included, on 99 of 100 episodes.
func TestReplay(t *testing.T) {
	if golden.Race {
		t.Skip("the replay runs without the race detector")
	}
	for _, set := range evalSets(t) {
		// Neighbours in this order share most of their prompts.
		slices.SortFunc(set.episodes, func(a, b episode) int { return strings.Compare(a.Prompt, b.Prompt) })
		t.Run(set.path, func(t *testing.T) {
			var cpu []outcome
			t.Run("cpu", func(t *testing.T) {
				cpu = set.run(t, newPlayer(t, set.model, inference.Options{Device: "cpu", Context: 4096}))
			})
			t.Run("vulkan", func(t *testing.T) {
				device := "software"
				if d := os.Getenv("AGENT_DEVICE"); strings.HasPrefix(d, "vulkan") {
					device = d // a GPU that the caller names
				}
				vulkan := set.run(t, newPlayer(t, set.model, inference.Options{Device: device, Context: 4096}))
				agree(t, cpu, vulkan)
			})
		})
	}
}

// run plays the set and checks the share.
func (set *evalSet) run(t *testing.T, p *player) []outcome {
	t.Helper()
	start := time.Now()
	outcomes := p.playAll(t, set.episodes)
	t.Logf("%d episodes on %s in %v", len(outcomes), p.model.Info().Device, time.Since(start).Round(time.Second))
	set.check(t, outcomes)
	return outcomes
}

// agree compares what two backends said.
func agree(t *testing.T, a, b []outcome) {
	t.Helper()
	same := 0
	for i := range a {
		if slices.Equal(a[i].said, b[i].said) {
			same++
		}
	}
	t.Logf("the backends agree on %d of %d episodes", same, len(a))
	if 100*same < 99*len(a) {
		t.Error("that is under 99 %")
	}
}

// check compares the share of exact episodes with the stated one.
func (set *evalSet) check(t *testing.T, outcomes []outcome) {
	t.Helper()
	exact, byKind := 0, map[string][2]int{}
	for i, o := range outcomes {
		k := byKind[set.episodes[i].Kind]
		k[1]++
		if o.exact {
			exact++
			k[0]++
		}
		byKind[set.episodes[i].Kind] = k
	}
	n := float64(len(outcomes))
	share, room := float64(exact)/n, 0.01
	if set.held { // three deviations, as if one episode in n had gone the other way
		likely := min(max(set.share, 1/n), 1-1/n)
		room += 3 * math.Sqrt(max(likely*(1-likely), 0)/n)
	}
	t.Logf("%d of %d exact (%.1f %%): %v", exact, len(outcomes), 100*share, byKind)
	if set.share == 0 {
		t.Logf("no accuracy is stated for %s: only the backends are compared", set.model)
		return
	}
	t.Logf("stated: %.1f %%, give or take %.1f", 100*set.share, 100*room)
	if math.Abs(share-set.share) > room+1e-9 {
		t.Errorf("the share is off by more than %.1f points", 100*room)
	}
}
