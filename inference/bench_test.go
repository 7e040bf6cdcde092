package inference

import (
	"context"
	"fmt"
	"testing"
)

// openPocket opens the embedded model on the CPU for the time of the test.
func openPocket(t testing.TB, o Options) *Model {
	t.Helper()
	if o.Device == "" {
		o.Device = "cpu"
	}
	m, err := Open(context.Background(), Pocket, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return m
}

func newSession(t testing.TB, m *Model, p Sampling) *Session {
	t.Helper()
	s, err := m.NewSession(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// prompt returns n ordinary ids of pocket's vocabulary.
func prompt(n, seed int) []uint32 {
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32((i*7919 + seed*104729 + 13) % 2000)
	}
	return ids
}

func BenchmarkPocket(b *testing.B) {
	for _, threads := range []int{1, 2} {
		m := openPocket(b, Options{Threads: threads})
		b.Run(fmt.Sprintf("prefill700/threads%d", threads), func(b *testing.B) {
			s := newSession(b, m, Sampling{})
			for i := 0; b.Loop(); i++ {
				for range s.Generate(context.Background(), prompt(700, i), nil) {
					break
				}
			}
			b.ReportMetric(float64(s.Stats().Prefilled)/s.Stats().PrefillTime.Seconds(), "tok/s")
		})
		b.Run(fmt.Sprintf("decode700/threads%d", threads), func(b *testing.B) {
			s := newSession(b, m, Sampling{})
			p := prompt(700, 1)
			for b.Loop() {
				n := 0
				for _, err := range s.Generate(context.Background(), p, nil) {
					if err != nil {
						b.Fatal(err)
					}
					if n++; n == 65 {
						break
					}
				}
			}
			st := s.Stats()
			b.ReportMetric(float64(st.Decoded)*64/65/st.DecodeTime.Seconds(), "tok/s")
		})
	}
}
