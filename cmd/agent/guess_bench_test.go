package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/log"
	"github.com/spf13/cobra"

	"chorale/agent"
	"chorale/configs"
	"chorale/harmony"
	"chorale/inference"
	"chorale/inference/speed"
	"chorale/internal/bench/page"
	"chorale/runtime"
)

// guessTable is where BenchmarkGuesses writes its table: docs/benchmarks.md, or empty
// for standard output alone.
var guessTable = flag.String("guess-table", "", "the `file` whose section BenchmarkGuesses replaces")

// examples are the example tasks, each with another prompt of the same kind: words
// and what they are replaced by.
var examples = map[string][]string{
	"arithmetic": {"4711", "862", "37", "915"},
	"denied":     {"lemon", "rose"},
	"file":       {"silver garden", "blue river", "maple", "oak"},
	"flight":     {"Oslo", "Lisbon"},
	"lookup":     {"bridge", "lantern"},
	"page":       {"lantern", "candle"},
	"power":      {"5", "3", "7", "9"},
	"price":      {"12", "7", "lantern", "candle"},
	"weather":    {"Oslo", "Lisbon"},
}

// utterance is one call of the model: what it was asked with, and what it said.
type utterance struct {
	prompt, stop []harmony.Token
	constraint   agent.Constraint // as it was in the beginning
	said         []harmony.Token
}

// scribe is a session that writes down what it is asked and says.
type scribe struct {
	*inference.Session
	all []utterance
}

// Generate implements agent.Model.
func (s *scribe) Generate(ctx context.Context, prompt, stop []harmony.Token, c agent.Constraint) iter.Seq2[harmony.Token, error] {
	u := utterance{prompt: slices.Clone(prompt), stop: stop, constraint: fork(c)}
	return func(yield func(harmony.Token, error) bool) {
		defer func() { s.all = append(s.all, u) }()
		for id, err := range s.Session.Generate(ctx, prompt, stop, c) {
			u.said = append(u.said, id)
			if !yield(id, err) {
				return
			}
		}
	}
}

func fork(c agent.Constraint) agent.Constraint { return c.(inference.Forker).Fork() }

// transcribe carries an example out, with words of its prompt replaced, and returns
// what the model was asked and said.
func transcribe(b *testing.B, e *engine, name string, replaced ...string) []utterance {
	b.Helper()
	std := streams{out: io.Discard, err: io.Discard, log: log.New(io.Discard)}
	f := &runFlags{flags: (&cobra.Command{}).Flags(), approveTimeout: time.Minute}
	var job *runtime.Job
	var gate agent.Gate
	var granted []runtime.Grant
	var s servers
	cfg, sources, err := configs.Load(".", nil)
	if err == nil {
		job, err = f.read(filepath.Join("../../examples", name+".yaml"), cfg, sources)
	}
	if err == nil && replaced != nil {
		job.Task.Prompt, job.Task.Checks = strings.NewReplacer(replaced...).Replace(job.Task.Prompt), nil
	}
	if err == nil {
		policy, e := loadPolicies(job, cfg.Policies)
		if gate, err = policy, e; err == nil {
			s, err = connectServers(b.Context(), std, job, policy, false)
		}
		if err == nil {
			defer s.Close()
			granted, err = grants(job, policy, &cfg.Search, s.set)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	session, err := e.session(job.Task.Model)
	if err != nil {
		b.Fatal(err)
	}
	defer session.Close()
	model := &scribe{Session: session}
	res, err := (&runtime.Session{
		Job: job, Encoding: e.encoding, Dialect: e.dialect, Model: model, Context: e.model.Info().Context, Vocabulary: e.words,
		Grants: granted, Gate: gate, Runs: b.TempDir(), Now: time.Now,
	}).Run(b.Context())
	if err != nil || res.ExitCode != 0 {
		b.Fatalf("%s: %s, %v", name, res.Reason, err)
	}
	return model.all
}

// decoding is what it took to say something, after the first token of each message.
type decoding struct {
	wall, cpu                time.Duration
	decoded, passes, guessed int
}

func (d *decoding) add(e decoding) {
	d.wall, d.cpu, d.decoded = d.wall+e.wall, d.cpu+e.cpu, d.decoded+e.decoded
	d.passes, d.guessed = d.passes+e.passes, d.guessed+e.guessed
}

// repeat has a fresh model say something again that was said, as a new process would.
func repeat(b *testing.B, o inference.Options, p inference.Sampling, all []utterance, remembered [][]utterance) (d decoding) {
	m, err := inference.Open(b.Context(), inference.Pocket, o)
	if err != nil {
		b.Skip(err)
	}
	defer m.Close()
	for _, u := range slices.Concat(remembered...) {
		m.Remember(slices.Concat(u.prompt, u.said))
	}
	s, err := m.NewSession(p)
	if err != nil {
		b.Fatal(err)
	}
	for _, u := range all {
		var said []harmony.Token
		var began time.Time
		var cpu time.Duration
		before := 0
		for id, err := range s.Generate(b.Context(), u.prompt, u.stop, fork(u.constraint)) {
			if err != nil {
				b.Fatal(err)
			}
			if said = append(said, id); began.IsZero() {
				before, began, cpu = s.Stats().Passes, time.Now(), speed.CPUTime()
			}
		}
		d.add(decoding{wall: time.Since(began), cpu: speed.CPUTime() - cpu, passes: s.Stats().Passes - before})
		if !slices.Equal(said, u.said) {
			b.Errorf("said %v, not %v", said, u.said)
		}
	}
	d.decoded, d.guessed = s.Stats().Decoded, s.Stats().Guessed
	return d
}

// BenchmarkGuesses has the model say what it says in the examples, with guesses and
// without by turns, each time in a model as fresh as that of a new process. What is
// remembered of earlier runs is told in the table.
func BenchmarkGuesses(b *testing.B) {
	e, err := openEngine(b.Context(), runtime.ModelSpec{Ref: inference.Pocket, Device: "cpu"}, configs.Config{Guess: configs.GuessOff}, func(string) {}, opening{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	said, other := map[string][]utterance{}, map[string][]utterance{}
	for name, replaced := range examples {
		said[name], other[name] = transcribe(b, e, name), transcribe(b, e, name, replaced...)
	}
	const head = "| device | earlier runs | wall: min | median | max | CPU: min | median | max | tokens a pass | rows a pass |\n|---|---|---|---|---|---|---|---|---|---|\n"
	var table strings.Builder
	rounds := 0
	table.WriteString(head)
	for _, device := range []string{"cpu", "lavapipe"} {
		for _, v := range []struct {
			name string
			of   func(name string) [][]utterance
		}{
			{"none", func(string) [][]utterance { return nil }},
			{"of the other examples", func(name string) [][]utterance { return others(said, name) }},
			{"and of the same with another prompt", func(name string) [][]utterance { return append(others(said, name), other[name]) }},
			{"and of the same", func(name string) [][]utterance { return append(others(said, name), said[name]) }},
		} {
			b.Run(device+"/"+v.name, func(b *testing.B) {
				var line string
				line, rounds = compareGuesses(b, device, inference.Sampling{Forbid: e.forbidden()}, said, v.of)
				fmt.Fprintf(&table, "| %s | %s | %s |\n", device, v.name, line)
			})
		}
	}
	text := fmt.Sprintf("%s, %d cores, %s, %s. %d rounds.\n\n%s", page.CPU(), goruntime.NumCPU(), goruntime.Version(), time.Now().Format(time.DateOnly), rounds, &table)
	fmt.Print(text)
	if *guessTable != "" {
		if err := page.Write(*guessTable, "bench-guesses", text); err != nil {
			b.Fatal(err)
		}
	}
}

// others is what was said in all examples but one.
func others(said map[string][]utterance, name string) (all [][]utterance) {
	for n, u := range said {
		if n != name {
			all = append(all, u)
		}
	}
	return all
}

// compareGuesses returns the figures of a line of the table, and of how many rounds.
func compareGuesses(b *testing.B, device string, p inference.Sampling, said map[string][]utterance, remembered func(string) [][]utterance) (line string, rounds int) {
	if device == "lavapipe" {
		device = "software"
	}
	var wall, cpu []float64
	var all [2]decoding
	for b.Loop() {
		var sum [2]decoding
		for name, u := range said {
			for i := range 2 {
				which := (len(wall) + i) % 2
				sum[which].add(repeat(b, inference.Options{Device: device, Plain: which == 0}, p, u, remembered(name)))
			}
		}
		wall = append(wall, sum[0].wall.Seconds()/sum[1].wall.Seconds())
		cpu = append(cpu, sum[0].cpu.Seconds()/sum[1].cpu.Seconds())
		for i := range all {
			all[i].add(sum[i])
		}
	}
	w, c, with := speed.SpreadOf(wall), speed.SpreadOf(cpu), all[1]
	b.ReportMetric(w.Median, "x")
	b.ReportMetric(c.Median, "x-cpu")
	perPass := float64(all[0].passes) / float64(with.passes)
	return fmt.Sprintf("%.2f | **%.2f** | %.2f | %.2f | **%.2f** | %.2f | %.2f | %.2f", w.Min, w.Median, w.Max, c.Min, c.Median, c.Max,
		perPass, 1+float64(with.guessed)/float64(with.passes)), len(wall)
}
