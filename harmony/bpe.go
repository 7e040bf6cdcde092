package harmony

import (
	"math/bits"
	"slices"
)

// noRank is the rank of a pair that does not merge.
const noRank = ^uint32(0)

// mergeTable is the merge list of a tokenizer.json. There the rank of a pair is
// its place in the list, not the id of what it merges to, and a pair that is
// not in the list never merges.
type mergeTable struct {
	ranks   map[uint64]uint32 // pair of tokens → rank
	results []Token           // rank → merged token
}

func pairKey(a, b Token) uint64 { return uint64(a)<<32 | uint64(b) }

// pairRank returns the rank at which the tokens a and b, whose bytes are
// text[i:j], merge.
func (e *Encoding) pairRank(text string, i, j int, a, b Token) uint32 {
	if e.merges != nil {
		if r, ok := e.merges.ranks[pairKey(a, b)]; ok {
			return r
		}
		return noRank
	}
	if t, ok := e.vocab.find(text, i, j); ok {
		return t
	}
	return noRank
}

// merged returns the token that a pair of that rank becomes.
func (e *Encoding) merged(rank uint32) Token {
	if e.merges != nil {
		return e.merges.results[rank]
	}
	return rank
}

// maxScan is the longest piece whose lowest pair is found by looking at all of
// them; longer pieces, which are rare in real text, keep a queue.
const maxScan = 96

// merge appends the tokens of the piece text[from:to]: starting from its bytes,
// the pair of lowest rank is merged, leftmost first, until none is left.
func (e *Encoding) merge(dst []Token, text string, from, to int) []Token {
	n := to - from
	if n > maxScan {
		return e.mergeLong(dst, text[from:to])
	}
	var (
		ids    [maxScan]Token
		starts [maxScan + 1]int
		ranks  [maxScan]uint32 // of each part with the one behind it
	)
	for i := range n {
		ids[i] = e.bytes[text[from+i]]
		starts[i] = from + i
	}
	starts[n] = to
	for i := range n - 1 {
		ranks[i] = e.pairRank(text, from+i, from+i+2, ids[i], ids[i+1])
	}
	ranks[n-1] = noRank
	for {
		best, at := noRank, 0
		for i, r := range ranks[:n] {
			if r < best {
				best, at = r, i
			}
		}
		if best == noRank {
			return append(dst, ids[:n]...)
		}
		ids[at] = e.merged(best)
		n--
		copy(ids[at+1:n], ids[at+2:])
		copy(starts[at+1:n+1], starts[at+2:])
		copy(ranks[at+1:n], ranks[at+2:])
		if at > 0 {
			ranks[at-1] = e.pairRank(text, starts[at-1], starts[at+1], ids[at-1], ids[at])
		}
		ranks[at] = noRank
		if at+1 < n {
			ranks[at] = e.pairRank(text, starts[at], starts[at+2], ids[at], ids[at+1])
		}
	}
}

// part is one token of a long piece, in a list linked through indices. Index i
// is the byte where the part starts.
type part struct {
	id         Token
	rank       uint32 // with the next part; tells whether a queued index is stale
	prev, next uint32
}

// longMerge is the memory of mergeLong, which is kept for the next long piece.
type longMerge struct {
	parts []part
	queue rankQueue
	batch []uint32
}

// mergeLong is merge for a piece of any length, in time that grows with the
// length alone.
func (e *Encoding) mergeLong(dst []Token, piece string) []Token {
	m, ok := e.long.Get().(*longMerge)
	if !ok {
		m = &longMerge{queue: newRankQueue(e.rankCount())}
	}
	defer e.long.Put(m)
	n := uint32(len(piece))
	m.parts = slices.Grow(m.parts[:0], len(piece))[:len(piece)]
	parts := m.parts
	for i := range n {
		parts[i] = part{e.bytes[piece[i]], noRank, i - 1, i + 1}
	}
	rerank := func(i uint32) uint32 {
		p := &parts[i]
		p.rank = noRank
		if p.next < n {
			q := &parts[p.next]
			p.rank = e.pairRank(piece, int(i), int(q.next), p.id, q.id)
			if p.rank != noRank {
				m.queue.push(p.rank, i)
			}
		}
		return p.rank
	}
	for i := range n {
		rerank(i)
	}
	for {
		rank := m.queue.lowest()
		if rank == noRank {
			break
		}
		m.batch = m.queue.take(m.batch[:0], rank)
		for k, i := range m.batch {
			p := &parts[i]
			if p.rank != rank {
				continue // merged away or merged on since
			}
			gone := p.next
			p.id = e.merged(rank)
			p.next = parts[gone].next
			parts[gone].rank = noRank
			if p.next < n {
				parts[p.next].prev = i
			}
			low := noRank
			if i > 0 {
				low = rerank(p.prev)
			}
			if low = min(low, rerank(i)); low < rank { // it comes before the rest
				for _, i := range m.batch[k+1:] {
					m.queue.push(rank, i)
				}
				break
			}
		}
	}
	for i := uint32(0); i < n; i = parts[i].next {
		dst = append(dst, parts[i].id)
	}
	return dst
}

// rankCount is one more than the highest rank.
func (e *Encoding) rankCount() int {
	if e.merges != nil {
		return len(e.merges.results)
	}
	return len(e.vocab.spans)
}

// rankQueue holds indices by rank: a list for each rank, and a tree of bits that
// leads to the lowest rank with a list. Every step takes constant time.
type rankQueue struct {
	first, last []uint32 // entries of a rank's list, counted from 1
	entries     []queued
	free        uint32     // list of unused entries
	levels      [][]uint64 // a bit for each rank with a list, then one for each word with a bit
}

type queued struct{ index, next uint32 }

func newRankQueue(ranks int) rankQueue {
	q := rankQueue{first: make([]uint32, ranks), last: make([]uint32, ranks)}
	for words := ranks; ; {
		words = max(1, (words+63)/64)
		q.levels = append(q.levels, make([]uint64, words))
		if words == 1 {
			return q
		}
	}
}

func (q *rankQueue) push(rank, index uint32) {
	e := q.free
	if e != 0 {
		q.free = q.entries[e-1].next
		q.entries[e-1] = queued{index, 0}
	} else {
		q.entries = append(q.entries, queued{index, 0})
		e = uint32(len(q.entries))
	}
	if q.first[rank] != 0 {
		q.entries[q.last[rank]-1].next = e
	} else {
		q.first[rank] = e
		for bit, l := rank, 0; l < len(q.levels); l++ {
			q.levels[l][bit/64] |= 1 << (bit % 64)
			bit /= 64
		}
	}
	q.last[rank] = e
}

// lowest returns the lowest rank with a list, or noRank.
func (q *rankQueue) lowest() uint32 {
	word := uint32(0)
	for l := len(q.levels) - 1; l >= 0; l-- {
		b := q.levels[l][word]
		if b == 0 {
			return noRank
		}
		word = word*64 + uint32(bits.TrailingZeros64(b))
	}
	return word
}

// take appends the rank's indices to dst in rising order and empties its list.
func (q *rankQueue) take(dst []uint32, rank uint32) []uint32 {
	for e := q.first[rank]; e != 0; {
		entry := &q.entries[e-1]
		dst = append(dst, entry.index)
		next := entry.next
		entry.next, q.free = q.free, e
		e = next
	}
	q.first[rank] = 0
	for bit, l := rank, 0; l < len(q.levels); l++ {
		q.levels[l][bit/64] &^= 1 << (bit % 64)
		bit /= 64
		if q.levels[l][bit] != 0 {
			break
		}
	}
	if !slices.IsSorted(dst) {
		slices.Sort(dst)
	}
	return dst
}
