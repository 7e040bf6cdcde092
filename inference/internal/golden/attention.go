package golden

import "math"

// Attention is attention by its formula, in f64, of one token's query heads of
// 64 numbers, as many as there are sinks, that share a KV head. The token sees
// the keys before end, window of them, or all where window is 0.
func Attention(q, keys, values, sinks []float32, end, window int) []float32 {
	var out []float32
	first := 0
	if window > 0 {
		first = max(0, end-window)
	}
	for h, sink := range sinks {
		total := math.Exp(float64(sink))
		var sum [64]float64
		for p := first; p < end; p++ {
			var s float64
			for i, v := range q[h*64:][:64] {
				s += float64(v) * float64(keys[p*64+i])
			}
			w := math.Exp(s / 8)
			total += w
			for i := range sum {
				sum[i] += w * float64(values[p*64+i])
			}
		}
		for _, v := range sum {
			out = append(out, float32(v/total))
		}
	}
	return out
}
