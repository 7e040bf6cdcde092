package inference

import (
	"context"
	"fmt"
	"testing"
)

func BenchmarkPocket(b *testing.B) {
	for _, threads := range []int{1, 2} {
		m := openModel(b, Pocket, Options{Threads: threads})
		b.Run(fmt.Sprintf("prefill700/threads%d", threads), func(b *testing.B) {
			s := newSession(b, m, Sampling{})
			for i := 0; b.Loop(); i++ {
				for range s.Generate(context.Background(), prompt(700, i), nil, nil) {
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
				for _, err := range s.Generate(context.Background(), p, nil, nil) {
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
