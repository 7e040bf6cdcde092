package graph

import "fmt"

// History keeps the books of one sequence's cache: how far it reaches, and to
// where it can go back. Full layers hold every position. Rings hold the last
// ones only; to go back further they need a mark, a copy of what the window
// before a position held. The backend moves the numbers; History says which.
//
// The zero value is of a sequence without rings.
type History struct {
	End int // positions 0 to End-1 are in the cache

	reach int // positions before its own that a sliding layer sees
	slots int // of each ring; 0 where there is none
	low   int // lowest position that the rings hold
	marks [MaxMarks]int
}

// NewHistory returns the books of an empty sequence.
func NewHistory(c *Config, context int) History {
	h := History{reach: c.reach()}
	for l := range c.Layers {
		if c.Ring(l, context) {
			h.slots = c.Slots(l, context)
		}
	}
	return h
}

// Need is the first position that the rings must hold to go on at pos.
func (h *History) Need(pos int) int { return max(0, pos-h.reach) }

// holds reports whether a pass can go on at pos.
func (h *History) holds(pos int) bool {
	need := h.Need(pos)
	return pos <= h.End && (h.slots == 0 || need == pos || need >= h.low)
}

// Begin is called before a pass over n tokens from pos on is run. Until Done is
// called the cache ends at pos: whatever interrupts the pass leaves books that
// are true.
func (h *History) Begin(pos, n int) error {
	switch {
	case pos > h.End:
		return fmt.Errorf("tokens at position %d, the sequence ends at %d", pos, h.End)
	case !h.holds(pos):
		return fmt.Errorf("tokens at position %d: the sequence has %d, and its sliding layers forgot those before %d; rewind first", pos, h.End, h.low)
	}
	h.cut(pos)
	if h.slots > 0 {
		h.low = max(h.low, pos+n-h.slots)
	}
	return nil
}

// Done ends a pass: the cache holds its n tokens.
func (h *History) Done(n int) { h.End += n }

// Stretch says that the cache ends at pos, without a pass. It forgets the marks.
func (h *History) Stretch(pos int) error {
	if h.End < 1 || pos < h.End {
		return fmt.Errorf("stretch a sequence of %d positions to %d", h.End, pos)
	}
	h.cut(0)
	h.End = pos
	if h.slots > 0 {
		h.low = max(0, pos-h.slots)
	}
	return nil
}

// cut forgets positions from pos on.
func (h *History) cut(pos int) {
	h.End, h.low = pos, min(h.low, pos)
	for i, m := range h.marks {
		if m > pos {
			h.marks[i] = 0
		}
	}
}

// Mark returns where to copy the rings' positions Need(pos) to pos-1, so that
// the sequence can come back to pos. It returns false where there is nothing to
// do: the rings hold everything, or no longer those, or the mark is there.
//
// Where all places are taken, the mark goes that is cheapest to do without: the
// one with the fewest tokens since the mark before it, for that is what going
// back to it would have to compute again.
func (h *History) Mark(pos int) (place int, ok bool) {
	if h.slots == 0 || pos < 1 || !h.holds(pos) {
		return 0, false
	}
	least := 0
	for i, m := range h.marks {
		if m == pos {
			return 0, false
		}
		cost := m - h.before(m)
		if i == 0 || cost < least {
			place, least = i, cost
		}
	}
	h.marks[place] = pos
	return place, true
}

// Forget takes back a mark that could not be copied.
func (h *History) Forget(place int) { h.marks[place] = 0 }

// Restart empties the sequence, where a mark could not be copied back.
func (h *History) Restart() int {
	h.cut(0)
	return 0
}

// before returns the last mark before pos, 0 where there is none.
func (h *History) before(pos int) int {
	last := 0
	for _, m := range h.marks {
		if m < pos {
			last = max(last, m)
		}
	}
	return last
}

// Rewind goes back to the last position at or before pos from which the
// sequence can go on, and returns it. Where the rings don't hold what they need
// there, place says which mark to copy back, and restore is true.
func (h *History) Rewind(pos int) (to, place int, restore bool) {
	to = min(max(pos, 0), h.End)
	if h.holds(to) {
		h.cut(to)
		return to, 0, false
	}
	to = 0
	for i, m := range h.marks {
		if m <= pos && m > to {
			to, place, restore = m, i, true
		}
	}
	h.cut(to)
	h.low = h.Need(to)
	return to, place, restore
}
