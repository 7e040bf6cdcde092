//go:build cgo && (amd64 || arm64)

package gpu

import (
	"context"

	"chorale/inference/internal/graph"
)

// crossed returns numbers of a span that device and host take turns with.
func (p *pass) crossed(s span, from, n int) []float32 {
	return p.exchange.Float32s()[s.offset/4:][from : from+n]
}

// embedOnHost takes over what prepare has looked up.
func (o *recorder) embedOnHost() {
	o.fromHost(graph.X, o.x)
	o.done(graph.X)
}

// expertsOnHost has the host compute them: it ends the segment with copies for
// the host, and begins the next one with a copy from it.
func (o *recorder) expertsOnHost(up, down *graph.Affine) {
	n, c := o.tokens, o.config
	o.toHost(graph.X, o.x)
	o.toHost(graph.Norm, o.norm)
	o.toHost(graph.Choice, o.choice)
	o.toHost(graph.Mix, o.mix)
	p := o.pass
	o.cut(func(ctx context.Context) error {
		words, choice := p.exchange.Uint32s()[p.choice.offset/4:], p.crossed(p.choice, 0, n*c.TopK)
		for i := range choice {
			choice[i] = float32(words[i])
		}
		return p.host.Experts(ctx, up, down, p.crossed(p.x, 0, n*c.Hidden), p.crossed(p.norm, 0, n*c.Hidden), choice, p.crossed(p.mix, 0, n*c.TopK))
	})
	o.fromHost(graph.X, o.x)
	o.done(graph.X)
}

// toHost and fromHost record the copy of a register's rows.
func (o *recorder) toHost(r graph.Reg, to span) {
	if reg := o.register(r); o.err == nil {
		o.commands().Copy(o.exchange, to.offset, reg.Buffer, reg.Offset, 4*o.tokens*reg.stride)
	}
}

func (o *recorder) fromHost(r graph.Reg, from span) {
	if reg := o.register(r); o.err == nil {
		o.commands().Copy(reg.Buffer, reg.Offset, o.exchange, from.offset, 4*o.tokens*reg.stride)
		o.dirty = true
	}
}

// cut ends the segment, after which the host does something before the next one
// begins.
func (o *recorder) cut(then func(context.Context) error) {
	if o.err != nil {
		return
	}
	if o.err = o.end(); o.err == nil {
		o.out.segments[len(o.out.segments)-1].then = then
		o.err = o.begin()
	}
}
