//go:build cgo && (amd64 || arm64)

package gpu

import (
	"fmt"
	"math"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/sample"
	"chorale/inference/internal/vk"
	"chorale/shaders"
)

// drawing is what the choice of tokens on the device needs: masks and the draws'
// numbers go up, summaries of rows come down, and logits stay where they are
// unless a summary leaves doubt.
type drawing struct {
	masks     *vk.Buffer // one for each row of a pass, then those that stay
	hows      *vk.Buffer // as include/draw.glsl says
	summaries *vk.Buffer
	returned  *vk.Buffer // the summaries on the host's side

	maskSize int             // in words
	staying  map[*uint64]int // by the memory of a constant mask, its number
	chooser  sample.Chooser
}

func newDrawing(b *Backend) (d drawing, err error) {
	d.maskSize, d.staying = maskWords(b.config.Vocab), map[*uint64]int{}
	for _, x := range []struct {
		to    **vk.Buffer
		words int
		place vk.Place
	}{
		{&d.masks, (graph.MaxDraws + stayingMasks) * d.maskSize, vk.Upload},
		{&d.hows, graph.MaxDraws * howWords, vk.Upload},
		{&d.summaries, graph.MaxDraws * summaryWords, vk.Local},
		{&d.returned, graph.MaxDraws * summaryWords, vk.Readback},
	} {
		if *x.to, err = b.device.NewBuffer(4*x.words, x.place); err != nil {
			return d, err
		}
	}
	return d, nil
}

// ask writes down how the tokens of the wanted rows are chosen, one row of the
// pass after the other.
func (p *pass) ask(key *shape, row int, draws []sample.Draw) {
	if row == 0 && len(p.staying) > stayingMasks-graph.MaxParts {
		clear(p.staying)
	}
	for i := range draws {
		d := &draws[i]
		copy(p.hows.Uint32s()[(row+i)*howWords:], how(d, p.mask(row+i, d)))
		key.filtered = key.filtered || d.Bound() > 0
	}
	key.drawn = key.drawn || len(draws) > 0
}

// how is a draw with the mask of that number, as include/draw.glsl has it.
func how(d *sample.Draw, mask int) []uint32 {
	scale, noisy := float32(1), uint32(0)
	if !d.Greedy() {
		scale, noisy = float32(1/d.Temperature), 1
	}
	return []uint32{math.Float32bits(scale), noisy, d.Key, d.Counter, uint32(mask), uint32(d.Bound()), 0, 0}
}

// mask puts a draw's mask where the kernels find it, and returns its number. One
// that is constant is put there once.
func (p *pass) mask(row int, d *sample.Draw) int {
	if d.Constant && len(d.Permitted) > 0 {
		n, there := p.staying[&d.Permitted[0]]
		if there {
			return n
		}
		row = graph.MaxDraws + len(p.staying)
		p.staying[&d.Permitted[0]] = row
	}
	writeMask(p.masks.Uint32s()[row*p.maskSize:][:p.maskSize], d.Permitted)
	return row
}

func writeMask(words []uint32, permitted []uint64) {
	n := min(len(permitted), len(words)/2)
	for i, w := range permitted[:n] {
		words[2*i], words[2*i+1] = uint32(w), uint32(w>>32)
	}
	clear(words[2*n:])
}

// draw records the summaries of the logits, and the way down of what is wanted.
func (o *recorder) draw() {
	o.section, o.operation = "head", "draw"
	if o.drawn {
		push := shaders.DrawPush{Vocab: uint32(o.config.Vocab), Words: uint32(o.maskSize)}
		logits := vk.Range{Buffer: o.logits, Size: min(o.logits.Size, graph.MaxDraws*o.config.Vocab*4)}
		ranges := []vk.Range{logits, {Buffer: o.masks}, {Buffer: o.hows}, {Buffer: o.summaries}}
		kernels := []*shaders.Kernel{&shaders.Draw, &shaders.Above}
		if !o.filtered {
			kernels = kernels[:1]
		}
		for _, k := range kernels {
			dispatch(o, k, []uint32{uint32(o.profile.norm)}, push, sample.Slices, o.rows, 0, ranges...)
			o.barrier()
		}
		if o.err == nil {
			o.commands().Copy(o.returned, 0, o.summaries, 0, 4*summaryWords*o.rows)
		}
	}
	if o.told && o.hostLogits != nil && o.err == nil {
		o.commands().Copy(o.hostLogits, 0, o.logits, 0, 4*o.config.Vocab*o.rows)
	}
}

// handOut gives each part the logits that it wants, or the tokens.
func (p *pass) handOut(parts []graph.Part) error {
	row, vocab := 0, p.config.Vocab
	for i := range parts {
		x := &parts[i]
		if x.Draws == nil && len(x.Rows) > 0 {
			from := p.logits
			if p.hostLogits != nil {
				from = p.hostLogits
			}
			vk.CountRead(4 * copy(x.Logits, from.Float32s()[row*vocab:][:len(x.Rows)*vocab]))
		}
		for j := range x.Draws {
			id, err := p.choose(&x.Draws[j], row+j, &x.Read)
			if err != nil {
				return err
			}
			x.Tokens[j] = id
		}
		row += len(x.Rows)
	}
	return nil
}

// choose finishes the draw of a row.
func (p *pass) choose(d *sample.Draw, row int, read *graph.Readback) (uint32, error) {
	var s sample.Summary
	decodeSummary(&s, d, p.returned.Uint32s()[row*summaryWords:][:summaryWords])
	read.Bytes += 4 * summaryWords
	vk.CountRead(4 * summaryWords)
	id, sure, err := p.chooser.Finish(d, &s)
	if sure || err != nil {
		return id, err
	}
	size := 4 * p.config.Vocab
	read.Whole++
	read.Bytes += int64(size)
	vk.CountRead(size)
	visible, err := p.visible(vk.Range{Buffer: p.logits, Offset: row * size, Size: size})
	if err != nil {
		return 0, fmt.Errorf("read logits: %w", err)
	}
	if visible.Buffer != p.logits {
		defer visible.Buffer.Close()
	}
	return p.chooser.Choose(d, visible.Buffer.Float32s()[visible.Offset/4:][:p.config.Vocab])
}

// decodeSummary reads what draw.comp and above.comp left of a row.
func decodeSummary(s *sample.Summary, d *sample.Draw, words []uint32) {
	number := func(bits uint32) float32 {
		if v := math.Float32frombits(bits); v > -math.MaxFloat32 {
			return v
		}
		return float32(math.Inf(-1))
	}
	if d.Bound() == 0 {
		for i := range s.Leaders {
			w := words[4+4*i:]
			s.Leaders[i] = sample.Leader{Score: number(w[0]), Second: number(w[1]), ID: w[2], Logit: number(w[3])}
		}
		return
	}
	for i := range s.Tops {
		s.Tops[i] = sample.Top{Logit: number(words[4+2*i]), Sum: math.Float32frombits(words[5+2*i])}
	}
	s.Count = int(words[0])
	for i := range min(s.Count, sample.Above) {
		w := words[4+2*sample.Slices+2*i:]
		s.Above[i] = sample.Candidate{ID: w[0], Logit: number(w[1])}
	}
}
