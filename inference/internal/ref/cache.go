package ref

import (
	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
)

// cache holds a sequence's keys and values. Each layer has pages of a fixed
// number of positions that are made when they are first written, so a cache
// grows without being copied and wastes less than a page. Layers that slide use
// their pages over again.
type cache struct{ layers []layerCache }

// layerCache is the pages of a layer.
type layerCache struct {
	kv         graph.KVType
	heads, dim int
	pages      []page // position p is in page p / CachePage, modulo their number
}

// page holds the keys and values of CachePage positions, in one of two types, so
// that attention has nothing to turn round (kernel.Set) and reads in order: of each KV
// head the keys as [block of Panel positions, dimension, position], then the values as
// [block of Panel dimensions, position, dimension]. A last block of dimensions that is
// not full is filled with zeros.
type page struct {
	f32 []float32
	f16 []uint16
}

func newPage(kv graph.KVType, n int) page {
	if kv == graph.KVF16 {
		return page{f16: make([]uint16, n)}
	}
	return page{f32: make([]float32, n)}
}

func (p *page) empty() bool { return p.f32 == nil && p.f16 == nil }

// bytes is the memory of a page.
func (p *page) bytes() int64 { return int64(4*len(p.f32) + 2*len(p.f16)) }

func newCache(c *graph.Config, context int, kv graph.KVType) cache {
	all := cache{make([]layerCache, c.Layers)}
	for l := range all.layers {
		all.layers[l] = newLayerCache(c, c.Slots(l, context), kv)
	}
	return all
}

// newLayerCache has room for a number of positions, a multiple of CachePage.
func newLayerCache(c *graph.Config, slots int, kv graph.KVType) layerCache {
	return layerCache{kv: kv, heads: c.KVHeads, dim: c.HeadDim, pages: make([]page, slots/graph.CachePage)}
}

// padded is a number of dimensions rounded up to whole blocks.
func padded(dim int) int { return (dim + kernel.Panel - 1) / kernel.Panel * kernel.Panel }

// at returns the page of a position, made if need be.
func (c *layerCache) at(pos int) *page {
	p := &c.pages[pos/graph.CachePage%len(c.pages)]
	if p.empty() {
		*p = newPage(c.kv, c.heads*c.step())
	}
	return p
}

// step is the distance of heads in a page.
func (c *layerCache) step() int { return graph.CachePage * (c.dim + padded(c.dim)) }

// key returns the index of a key's first number in its page; the next ones lie
// Panel apart.
func (c *layerCache) key(pos, head int) int {
	slot := pos % graph.CachePage
	return head*c.step() + slot/kernel.Panel*kernel.Panel*c.dim + slot%kernel.Panel
}

// value returns the index of a value's first block of numbers in its page; the next
// ones lie valueStep apart.
func (c *layerCache) value(pos, head int) int {
	return head*c.step() + graph.CachePage*c.dim + pos%graph.CachePage*kernel.Panel
}

const valueStep = graph.CachePage * kernel.Panel

// put stores the keys and values of all heads at a position.
func (c *layerCache) put(pos int, keys, values []float32) {
	p := c.at(pos)
	for h := range c.heads {
		p.put(c.key(pos, h), 1, kernel.Panel, keys[h*c.dim:][:c.dim])
		p.put(c.value(pos, h), kernel.Panel, valueStep, values[h*c.dim:][:c.dim])
	}
}

// copy takes a position over from the same or another cache.
func (c *layerCache) copy(to int, src *layerCache, from int) {
	p, q := c.at(to), src.at(from)
	for h := range c.heads {
		p.copy(c.key(to, h), q, src.key(from, h), 1, kernel.Panel, c.dim)
		p.copy(c.value(to, h), q, src.value(from, h), kernel.Panel, valueStep, padded(c.dim))
	}
}

// put stores numbers from index i on, in runs that lie step apart. In f16, what is
// too large becomes the largest finite number: one such key must not make every sum
// NaN.
func (p *page) put(i, run, step int, v []float32) {
	const most = 65504
	for ; len(v) > 0; i += step {
		n := min(run, len(v))
		if p.f16 == nil {
			copy(p.f32[i:], v[:n])
		} else {
			for j, x := range v[:n] {
				p.f16[i+j] = kernel.ToHalf(min(max(x, -most), most))
			}
		}
		v = v[n:]
	}
}

// copy copies n numbers, which lie as put leaves them.
func (p *page) copy(i int, from *page, j, run, step, n int) {
	for ; n > 0; n -= run {
		copy(p.cut(i, run).f32, from.cut(j, run).f32)
		copy(p.cut(i, run).f16, from.cut(j, run).f16)
		i, j = i+step, j+step
	}
}

// cut returns n numbers from index i on.
func (p *page) cut(i, n int) page {
	if p.f16 != nil {
		return page{f16: p.f16[i : i+n]}
	}
	return page{f32: p.f32[i : i+n]}
}
