package sample

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkChoose draws from rows as wide as gpt-oss's on the CPU.
func BenchmarkChoose(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	logits := make([]float32, 201_088)
	for i := range logits {
		logits[i] = float32(r.NormFloat64() * 3)
	}
	for name, p := range map[string]Params{"greedy": {}, "temperature": {Temperature: 1}, "top-k": {Temperature: 1, TopK: 40}, "top-p": {Temperature: 1, TopP: 0.95}} {
		b.Run(name, func(b *testing.B) {
			s, err := New(p, len(logits))
			if err != nil {
				b.Fatal(err)
			}
			var c Chooser
			for n := uint64(0); b.Loop(); n++ {
				d := s.Draw(n, nil)
				if _, err := c.Choose(&d, logits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
