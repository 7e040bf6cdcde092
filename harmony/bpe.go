package harmony

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
// them; longer pieces, which are rare in real text, keep a heap.
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
	rank       uint32 // with the next part; tells whether a heap entry is stale
	prev, next uint32
}

// mergeLong is merge in O(n log n) for a piece of any length.
func (e *Encoding) mergeLong(dst []Token, piece string) []Token {
	n := uint32(len(piece))
	parts := make([]part, n)
	heap := make(rankHeap, 0, n)
	for i := range n {
		parts[i] = part{e.bytes[piece[i]], noRank, i - 1, i + 1}
	}
	for i := range n - 1 {
		r := e.pairRank(piece, int(i), int(i+2), parts[i].id, parts[i+1].id)
		parts[i].rank = r
		if r != noRank {
			heap = append(heap, rankAt(r, i))
		}
	}
	heap.init()
	rerank := func(i uint32) {
		p := &parts[i]
		p.rank = noRank
		if p.next < n {
			q := &parts[p.next]
			p.rank = e.pairRank(piece, int(i), int(q.next), p.id, q.id)
			if p.rank != noRank {
				heap.push(rankAt(p.rank, i))
			}
		}
	}
	for len(heap) > 0 {
		r, i := heap.pop()
		p := &parts[i]
		if p.rank != r {
			continue // merged away or merged on since
		}
		gone := p.next
		p.id = e.merged(r)
		p.next = parts[gone].next
		parts[gone].rank = noRank
		if p.next < n {
			parts[p.next].prev = i
		}
		rerank(i)
		if i > 0 {
			rerank(p.prev)
		}
	}
	for i := uint32(0); i < n; i = parts[i].next {
		dst = append(dst, parts[i].id)
	}
	return dst
}

// rankHeap is a heap with four children a node, smallest first. An entry is a
// rank above an index, so that equal ranks come leftmost first.
type rankHeap []uint64

func rankAt(rank, index uint32) uint64 { return uint64(rank)<<32 | uint64(index) }

func (h rankHeap) init() {
	for i := (len(h)+2)/4 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h rankHeap) down(i int) {
	x := h[i]
	for {
		first := 4*i + 1
		if first >= len(h) {
			break
		}
		child := first
		for c := first + 1; c < min(first+4, len(h)); c++ {
			if h[c] < h[child] {
				child = c
			}
		}
		if x <= h[child] {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = x
}

func (h *rankHeap) push(x uint64) {
	*h = append(*h, x)
	s := *h
	i := len(s) - 1
	for i > 0 {
		up := (i - 1) / 4
		if s[up] <= x {
			break
		}
		s[i] = s[up]
		i = up
	}
	s[i] = x
}

func (h *rankHeap) pop() (rank, index uint32) {
	s := *h
	top := s[0]
	last := len(s) - 1
	s[0] = s[last]
	*h = s[:last]
	if last > 0 {
		h.down(0)
	}
	return uint32(top >> 32), uint32(top)
}
