package inference_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"chorale/inference"
	"chorale/inference/speed"
)

// transcript is a constraint that lets a text be said and nothing else, without
// forcing it: a model that is held to it decodes as if it had chosen the text.
type transcript struct {
	text []uint32
	mask []uint64
}

func (c *transcript) Mask() []uint64 {
	clear(c.mask)
	if len(c.text) > 0 {
		c.mask[c.text[0]/64] |= 1 << (c.text[0] % 64)
	}
	return c.mask
}

func (c *transcript) Forced() []uint32 { return nil }

func (c *transcript) Accept(uint32) error {
	c.text = c.text[1:]
	return nil
}

// Fork implements inference.Forker.
func (c *transcript) Fork() inference.Constraint {
	return &transcript{c.text, make([]uint64, len(c.mask))}
}

// conversation is prompts and what is said after each.
type conversation []struct{ prompt, said []uint32 }

// BenchmarkGuesses decodes agents' conversations, and text in which nothing comes
// twice, with guesses and without by turns, and reports how many times as fast
// decoding is with them, by the clock and by CPU time, and the tokens of a pass.
func BenchmarkGuesses(b *testing.B) {
	for _, v := range []struct{ name, ref, device string }{
		{"pocket/cpu", inference.Pocket, "cpu"},
		{"pocket/lavapipe", inference.Pocket, "software"},
		{"20b/cpu", "synth:20b?layers=1&vocab=32768", "cpu"},
		{"20b/lavapipe", "synth:20b?layers=1&experts=24&vocab=32768", "software"},
	} {
		b.Run(v.name, func(b *testing.B) {
			var models [2]*inference.Model
			for i := range models {
				m, err := inference.Open(context.Background(), v.ref, inference.Options{Device: v.device, Plain: i == 0, Context: 8192})
				if wrong := (*inference.ChoiceError)(nil); errors.As(err, &wrong) && v.device != "cpu" {
					b.Skip(err)
				}
				if err != nil {
					b.Fatal(err)
				}
				defer m.Close()
				models[i] = m
			}
			b.Run("agents", func(b *testing.B) { compareGuesses(b, models, agents(b)) })
			b.Run("noise", func(b *testing.B) { compareGuesses(b, models, noise(models[0].Info().Vocab)) })
		})
	}
}

func compareGuesses(b *testing.B, models [2]*inference.Model, next func() conversation) {
	var stats [2]inference.Stats
	var took, cpu [2]time.Duration
	turn := 0
	for b.Loop() {
		c := next()
		for i := range models {
			which := (turn + i) % 2
			st, busy := converse(b, models[which], c)
			took[which] += st.DecodeTime
			cpu[which] += busy
			stats[which].Decoded += st.Decoded
			stats[which].Passes += st.Passes
		}
		turn++
	}
	if stats[0].Decoded != stats[1].Decoded {
		b.Errorf("%d tokens with guesses, %d without", stats[1].Decoded, stats[0].Decoded)
	}
	b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "x")
	b.ReportMetric(cpu[0].Seconds()/cpu[1].Seconds(), "x-cpu")
	b.ReportMetric(float64(stats[1].Decoded)/float64(stats[1].Passes), "tokens/pass")
	b.ReportMetric(float64(stats[1].Decoded)/took[1].Seconds(), "tok/s")
}

// converse returns also the CPU time that decoding took.
func converse(b *testing.B, m *inference.Model, c conversation) (_ inference.Stats, busy time.Duration) {
	s, err := m.NewSession(inference.Sampling{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for _, turn := range c {
		left, began := len(turn.said), time.Duration(0)
		held := &transcript{turn.said, make([]uint64, (m.Info().Vocab+63)/64)}
		for _, err := range s.Generate(context.Background(), turn.prompt, nil, held) {
			if err != nil {
				b.Fatal(err)
			}
			if began == 0 {
				began = speed.CPUTime()
			}
			if left--; left == 0 {
				busy += speed.CPUTime() - began
				break
			}
		}
	}
	return s.Stats(), busy
}

// agents yields the embedded model's conversations with its tools, each once.
func agents(b *testing.B) func() conversation {
	var all []conversation
	p := newPlayer(b, inference.Pocket, inference.Options{Device: "cpu"})
	for _, e := range readEpisodes(b, ownEpisodes) {
		var c conversation
		prompt := p.enc.EncodeWithSpecial(e.Prompt)
		for _, turn := range e.Turns {
			said := p.enc.EncodeWithSpecial(turn.Expect)
			c = append(c, struct{ prompt, said []uint32 }{prompt, said})
			prompt = append(append(prompt[:len(prompt):len(prompt)], said...), p.enc.EncodeWithSpecial(turn.Then)...)
		}
		all = append(all, c)
	}
	turn := 0
	return func() conversation { turn++; return all[(turn-1)%len(all)] }
}

// noise yields text in which nothing comes twice but by chance.
func noise(vocab int) func() conversation {
	r := rand.New(rand.NewPCG(1, 2))
	text := func(n int) (ids []uint32) {
		for range n {
			ids = append(ids, uint32(r.IntN(vocab)))
		}
		return ids
	}
	return func() conversation { return conversation{{text(200), text(60)}} }
}
