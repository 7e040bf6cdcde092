package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"chorale/configs"
	"chorale/inference"
	"chorale/runtime"
)

const embeddedEpisodes = "../../inference/testdata/pocket/eval.jsonl"

// leastPlayed is how many episodes must go through the whole stack.
const leastPlayed = 60

// TestEvalStack plays held-out episodes through everything: task files, the
// embedded model, Python, commands and Go functions, policies. What the model
// answers is its own merit, measured by replay; the stack must not take from it.
// Episodes of the trees in AGENT_MODELS are played as well.
func TestEvalStack(t *testing.T) {
	needPython(t)
	if race {
		t.Skip("the evaluation runs without the race detector")
	}
	sets := evalSets(t)
	for _, set := range sets {
		t.Run(filepath.Base(filepath.Dir(set.path)), func(t *testing.T) { evalStack(t, set.path, set.model) })
	}
	t.Logf("%d sets of episodes", len(sets))
}

func evalStack(t *testing.T, path, model string) {
	ctx := t.Context()
	all, err := readEpisodes(path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	episodes := sampleKinds(all, leastPlayed)
	own := path == embeddedEpisodes
	if len(episodes) == 0 || own && len(episodes) < leastPlayed {
		t.Fatalf("%s has %d episodes that can be tasks, want at least %d", path, len(episodes), leastPlayed)
	}
	e, err := openEngine(ctx, runtime.ModelSpec{Ref: model, Device: "cpu"}, configs.Config{}, func(string) {}, opening{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	replay, err := measure(episodes, func(int) {}, func(ep *episode) (bool, error) { return e.replay(ctx, ep) })
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStack(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stack, err := measure(episodes, func(int) {}, func(ep *episode) (bool, error) { return s.play(ctx, ep) })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d episodes: replay %d right (%.1f %%), wrong %v; stack %d right (%.1f %%), wrong %v", len(episodes),
		replay.Right, 100*replay.Share, replay.Wrong, stack.Right, 100*stack.Share, stack.Wrong)
	if stack.Share < replay.Share-0.05 {
		t.Errorf("the stack has %.1f %% right and the replay of the same episodes %.1f %%: the stack loses answers", 100*stack.Share, 100*replay.Share)
	}
	for kind, least := range map[string]int{"chat": 1, "py": 10, "func": 10, "func2": 5, "multi": 5} {
		if k := stack.Kinds[kind]; own && (k == nil || k.Total < least) {
			t.Errorf("fewer than %d episodes of kind %s were played", least, kind)
		}
	}
}

// sampleKinds takes n episodes that can be tasks, the kinds in turn, so that
// rare ones are among them.
func sampleKinds(all []episode, n int) []episode {
	byKind := map[string][]episode{}
	var kinds []string
	for _, ep := range all {
		if !playable(&ep) {
			continue
		}
		if byKind[ep.Kind] == nil {
			kinds = append(kinds, ep.Kind)
		}
		byKind[ep.Kind] = append(byKind[ep.Kind], ep)
	}
	slices.Sort(kinds)
	var out []episode
	for round := 0; len(out) < n; round++ {
		before := len(out)
		for _, kind := range kinds {
			if round < len(byKind[kind]) && len(out) < n {
				out = append(out, byKind[kind][round])
			}
		}
		if len(out) == before {
			break
		}
	}
	return out
}

// evalSet is a file of episodes with the model that they are for.
type evalSet struct{ path, model string }

// evalSets are the embedded model's episodes and those of AGENT_MODELS, which
// are for the checkpoint beside them, or for the embedded one where there is
// none.
func evalSets(t *testing.T) []evalSet {
	t.Helper()
	sets := []evalSet{{embeddedEpisodes, inference.Pocket}}
	for _, tree := range filepath.SplitList(os.Getenv("AGENT_MODELS")) {
		for _, path := range anywhere(t, tree, "eval.jsonl") {
			model := filepath.Dir(path)
			if _, err := os.Stat(filepath.Join(model, "config.json")); errors.Is(err, os.ErrNotExist) {
				model = inference.Pocket
			}
			sets = append(sets, evalSet{path, model})
		}
		// A tree need not hold every kind of case.
		if len(anywhere(t, tree, "*.json")) == 0 && len(anywhere(t, tree, "*.jsonl")) == 0 {
			t.Errorf("AGENT_MODELS names %s, which holds nothing that a test reads", tree)
		}
	}
	return sets
}

// anywhere finds files in a tree: in its root and up to two folders below.
func anywhere(t *testing.T, tree, name string) []string {
	t.Helper()
	var all []string
	for _, below := range []string{"", "*", "*/*"} {
		found, err := filepath.Glob(filepath.Join(tree, below, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// TestStackTellsRight plays an episode with its answer falsified: the stack must
// call it wrong.
func TestStackTellsRight(t *testing.T) {
	needPython(t)
	ctx := context.Background()
	all, err := readEpisodes(embeddedEpisodes, []string{"chat"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	e, err := openEngine(ctx, runtime.ModelSpec{Ref: inference.Pocket, Device: "cpu"}, configs.Config{}, func(string) {}, opening{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := newStack(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ep := all[slices.IndexFunc(all, func(ep episode) bool { return ep.user() == "Hi" })]
	for _, tc := range []struct {
		final string
		right bool
	}{{ep.final(), true}, {"Goodbye.", false}} {
		ep.Turns = []episodeTurn{{Expect: "<|channel|>final<|message|>" + tc.final + "<|return|>"}}
		if right, err := s.play(ctx, &ep); err != nil || right != tc.right {
			t.Errorf("answer %q judged right: %v, %v; want %v", tc.final, right, err, tc.right)
		}
	}
}
