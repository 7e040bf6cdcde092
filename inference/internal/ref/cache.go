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

// page holds keys and values, [key or value, KV head, position, HeadDim], in one
// of two types.
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
		all.layers[l] = layerCache{kv: kv, heads: c.KVHeads, dim: c.HeadDim, pages: make([]page, c.Slots(l, context)/graph.CachePage)}
	}
	return all
}

// at returns the page of a position, made if need be, and the index in it of a
// head's key. The value lies half a page behind.
func (c *layerCache) at(pos, head int) (p *page, i int) {
	p = &c.pages[pos/graph.CachePage%len(c.pages)]
	if p.empty() {
		*p = newPage(c.kv, 2*c.half())
	}
	return p, (head*graph.CachePage + pos%graph.CachePage) * c.dim
}

// half is how many numbers a page has of keys, and of values.
func (c *layerCache) half() int { return c.heads * graph.CachePage * c.dim }

// put stores the keys and values of all heads at a position.
func (c *layerCache) put(pos int, keys, values []float32) {
	for h := range c.heads {
		p, i := c.at(pos, h)
		p.from(i).put(keys[h*c.dim : (h+1)*c.dim])
		p.from(i + c.half()).put(values[h*c.dim : (h+1)*c.dim])
	}
}

// put stores numbers. In f16, what is too large becomes the largest finite
// number: one such key must not make every sum NaN.
func (p page) put(v []float32) {
	if p.f16 == nil {
		copy(p.f32, v)
		return
	}
	const most = 65504
	for i, x := range v {
		p.f16[i] = kernel.ToHalf(min(max(x, -most), most))
	}
}

// copy copies a position to another one.
func (c *layerCache) copy(to, from int) {
	for h := range c.heads {
		dst, i := c.at(to, h)
		src, j := c.at(from, h)
		dst.from(i).to(c.dim).copy(src.from(j))
		dst.from(i + c.half()).to(c.dim).copy(src.from(j + c.half()))
	}
}

// keys returns a head's keys from pos on, up to the end of its page or to end,
// and their number.
func (c *layerCache) keys(head, pos, end int) (page, int) {
	p, i := c.at(pos, head)
	n := min(graph.CachePage-pos%graph.CachePage, end-pos)
	return p.from(i).to(n * c.dim), n
}

// values is keys for values.
func (c *layerCache) values(head, pos, end int) (page, int) {
	p, i := c.at(pos, head)
	n := min(graph.CachePage-pos%graph.CachePage, end-pos)
	return p.from(i + c.half()).to(n * c.dim), n
}

// save copies positions first to end into a mark.
func (c *layerCache) save(mark page, first, end int) {
	c.eachRun(mark, first, end, func(marked, cached page) { marked.copy(cached) })
}

// restore copies them back.
func (c *layerCache) restore(mark page, first, end int) {
	c.eachRun(mark, first, end, func(marked, cached page) { cached.copy(marked) })
}

// eachRun calls f for every run of numbers that lie side by side in the mark and
// in the cache.
func (c *layerCache) eachRun(mark page, first, end int, f func(marked, cached page)) {
	for h := range c.heads {
		for pos := first; pos < end; {
			keys, n := c.keys(h, pos, end)
			values, _ := c.values(h, pos, end)
			n *= c.dim
			f(mark.to(n), keys)
			f(mark.from(n).to(n), values)
			mark = mark.from(2 * n)
			pos += n / c.dim
		}
	}
}

// copy copies as many numbers as both pages have.
func (p page) copy(from page) {
	copy(p.f32, from.f32)
	copy(p.f16, from.f16)
}

// from returns the page without its first n numbers, to the first n alone.
func (p page) from(n int) page {
	if p.f16 != nil {
		return page{f16: p.f16[n:]}
	}
	return page{f32: p.f32[n:]}
}

func (p page) to(n int) page {
	if p.f16 != nil {
		return page{f16: p.f16[:n]}
	}
	return page{f32: p.f32[:n]}
}
