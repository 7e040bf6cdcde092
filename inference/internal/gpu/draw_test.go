//go:build cgo && (amd64 || arm64)

package gpu

import (
	"math"
	"math/rand/v2"
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/sample"
	"chorale/shaders"
)

// TestDraw compares the summaries of rows as wide as gpt-oss's with their
// definition, on both drivers: flat rows and steep ones, with masks and without,
// with equal logits and with such as are none. The token that is made of one must
// be that of the whole row, and doubt rare.
func TestDraw(t *testing.T) {
	vocab, samplings := 20_000, golden.Samplings
	if golden.Race {
		vocab, samplings = 5000, samplings[:5]
	}
	rows := rowsOfLogits(vocab)
	onDrivers(t, 1, 1, func(b *bench, p profile) {
		for kind, logits := range rows {
			drawFrom(b, kind, p.norm, samplings, logits)
		}
	})
}

func rowsOfLogits(n int) map[string][]float32 {
	r := rand.New(rand.NewPCG(1, 3))
	rows := map[string][]float32{"flat": make([]float32, n), "steep": make([]float32, n), "equal": make([]float32, n), "broken": make([]float32, n)}
	for i := range n {
		rows["flat"][i] = float32(r.NormFloat64())
		rows["steep"][i] = float32(r.NormFloat64() * 3)
		rows["equal"][i] = float32(r.IntN(3)) * 10
		rows["broken"][i] = rows["flat"][i]
	}
	for i := range 30 {
		rows["steep"][r.IntN(n)] = 15 + float32(i)/8
		rows["flat"][r.IntN(n)] = float32(math.Inf(-1))
	}
	rows["broken"][n-1] = float32(math.NaN())
	return rows
}

func drawFrom(b *bench, kind string, lanes int, samplings []sample.Params, logits []float32) {
	random := rand.New(rand.NewPCG(5, 5))
	n := len(logits)
	some := make([]uint64, (n+63)/64)
	for i := range some {
		some[i] = random.Uint64()
	}
	few := make([]uint64, 40)
	few[3], few[39] = 0xf0f0, 1
	var chooser sample.Chooser
	var draws []sample.Draw
	for i, p := range samplings {
		p.Forbid = []uint32{0, 77}
		s, err := sample.New(p, n)
		if err != nil {
			b.Fatal(err)
		}
		draws = append(draws, s.Draw(uint64(i), [][]uint64{nil, some, few}[i%3]))
	}
	rows, masks, hows := make([]float32, 0, n*len(draws)), []uint32(nil), []uint32(nil)
	for i := range draws {
		rows = append(rows, logits...)
		mask := make([]uint32, maskWords(n))
		writeMask(mask, draws[i].Permitted)
		masks = append(masks, mask...)
		hows = append(hows, how(&draws[i], i)...)
	}
	summaries := make([]uint32, summaryWords*len(draws))
	for _, k := range []*shaders.Kernel{&shaders.Draw, &shaders.Above} {
		push := shaders.DrawPush{Vocab: uint32(n), Words: uint32(maskWords(n))}
		run(b, k, []int{lanes}, push, sample.Slices, len(draws), rows, masks, hows, summaries)
	}
	doubts := 0
	for i := range draws {
		d := &draws[i]
		var got sample.Summary
		decodeSummary(&got, d, summaries[i*summaryWords:][:summaryWords])
		compareSummary(b, d, &got, golden.Summary(d, logits, lanes))
		want, failed := chooser.Choose(d, logits)
		id, sure, err := chooser.Finish(d, &got)
		switch {
		case failed != nil && sure:
			b.Errorf("%+v: token %d of broken logits", *d.Params, id)
		case err != nil || sure && id != want:
			b.Errorf("%+v: token %d, want %d, %v", *d.Params, id, want, err)
		case !sure && failed == nil && d.TopK < 1000 && d.Temperature != 1e-4 && (d.TopP == 0 || d.TopK > 0):
			doubts++
		}
	}
	b.Logf("%s: %d of %d summaries leave doubt", kind, doubts, len(draws))
}

// compareSummary holds a summary against its definition, but for the order of
// candidates and for what rounds.
func compareSummary(t testing.TB, d *sample.Draw, got *sample.Summary, want sample.Summary) {
	t.Helper()
	broken := 0
	if d.Bound() == 0 {
		for i, g := range got.Leaders {
			w, close := want.Leaders[i], 1e-4+1e-6*math.Abs(float64(want.Leaders[i].Score))
			switch {
			case math.IsInf(float64(g.Second), 1):
				broken++
			case g.ID != w.ID && math.Abs(float64(w.Score-g.Score)) < close && math.Abs(float64(w.Score-w.Second)) < close:
			case g.ID != w.ID || g.Logit != w.Logit && g.ID != sample.NoID:
				t.Errorf("%+v: leader of slice %d is %+v, want %+v", *d.Params, i, g, w)
			case g.Score != w.Score && math.Abs(float64(g.Score-w.Score)) > close || g.Second != w.Second && math.Abs(float64(g.Second-w.Second)) > close:
				t.Errorf("%+v: scores of slice %d are %+v, want %+v", *d.Params, i, g, w)
			}
		}
		return
	}
	for i, g := range got.Tops {
		w := want.Tops[i]
		if g.Sum < 0 {
			broken++
		} else if g.Logit != w.Logit || math.Abs(float64(g.Sum-w.Sum)) > 3e-6*float64(w.Sum) {
			t.Errorf("%+v: top of slice %d is %+v, want %+v", *d.Params, i, g, w)
		}
	}
	if got.Count != want.Count && broken == 0 {
		t.Errorf("%+v: %d candidates, want %d", *d.Params, got.Count, want.Count)
	}
	if got.Count > sample.Above || broken > 0 {
		return
	}
	listed := map[sample.Candidate]bool{}
	for _, c := range got.Above[:got.Count] {
		listed[c] = true
	}
	for _, c := range want.Above[:min(want.Count, sample.Above)] {
		if !listed[c] {
			t.Errorf("%+v: no candidate %+v", *d.Params, c)
		}
	}
}
