package graph

import (
	"math"
	"math/rand/v2"
	"testing"
)

// shaped is a model of alternating sliding and full layers.
func shaped(layers int) *Config {
	c := &Config{Layers: layers, KVHeads: 8, HeadDim: 64}
	for l := range layers {
		c.Window = append(c.Window, []int{128, 0}[l%2])
	}
	return c
}

// TestCacheBytes compares caches of gpt-oss-20b and 120b in f16 with what their
// full layers need and 128 positions of the others.
func TestCacheBytes(t *testing.T) {
	for _, layers := range []int{24, 36} {
		for _, context := range []int{32768, 131072} {
			want := float64(layers/2*2048) * float64(context+128)
			got := float64(CacheBytes(shaped(layers), context, KVF16))
			if math.Abs(got/want-1) > 0.05 {
				t.Errorf("%d layers, context %d: %.4g bytes, want %.4g", layers, context, got, want)
			}
			if full := float64(CacheBytes(shaped(layers), context, KVF32)); full != 2*got {
				t.Errorf("in f32 %.4g bytes, in f16 %.4g", full, got)
			}
		}
	}
}

func TestSlots(t *testing.T) {
	c := shaped(2)
	for _, v := range []struct{ context, sliding, full int }{
		{1, 64, 64}, {64, 64, 64}, {640, 640, 640}, {641, 640, 704}, {131072, 640, 131072},
	} {
		if s, f := c.Slots(0, v.context), c.Slots(1, v.context); s != v.sliding || f != v.full {
			t.Errorf("context %d: %d and %d slots, want %d and %d", v.context, s, f, v.sliding, v.full)
		}
	}
}

// ring does what a backend does, with tokens for numbers.
type ring struct {
	history History
	slots   []int // token in each slot
	marks   [MaxMarks][]int
}

// TestHistory has sequences go on, be cut short, be marked and go back at random:
// whenever one can go on, its ring must hold the right tokens before it.
func TestHistory(t *testing.T) {
	c := shaped(2)
	const context = 6000
	random := rand.New(rand.NewPCG(1, 2))
	steps, exact, restored := 0, 0, 0
	for range 40 {
		r := ring{history: NewHistory(c, context), slots: make([]int, c.Slots(0, context))}
		var tokens []int
		for range 100 {
			steps++
			switch h := &r.history; random.IntN(4) {
			case 0, 1:
				pos := len(tokens) - random.IntN(min(len(tokens), 20)+1)
				n := min(1+random.IntN(MaxChunk), context-pos)
				if n == 0 || h.Begin(pos, n) != nil {
					continue
				}
				tokens = tokens[:pos]
				for i := range n {
					token := random.Int()
					tokens = append(tokens, token)
					r.slots[(pos+i)%len(r.slots)] = token
				}
				if random.IntN(5) == 0 { // an error
					tokens = tokens[:pos]
				} else {
					h.Done(n)
				}
			case 2:
				pos := len(tokens) - random.IntN(min(len(tokens), 700)+1)
				if place, ok := h.Mark(pos); ok {
					r.marks[place] = nil
					for p := h.Need(pos); p < pos; p++ {
						r.marks[place] = append(r.marks[place], r.slots[p%len(r.slots)])
					}
				}
			case 3:
				pos := random.IntN(len(tokens) + 1)
				to, place, restore := h.Rewind(pos)
				if to > pos {
					t.Fatalf("rewound to %d, asked for %d", to, pos)
				}
				if to == pos {
					exact++
				}
				if restore {
					restored++
					for i, token := range r.marks[place] {
						r.slots[(h.Need(to)+i)%len(r.slots)] = token
					}
				}
				tokens = tokens[:to]
			}
			if r.history.End != len(tokens) {
				t.Fatalf("the sequence ends at %d, want %d", r.history.End, len(tokens))
			}
			for p := r.history.Need(len(tokens)); p < len(tokens); p++ {
				if r.slots[p%len(r.slots)] != tokens[p] {
					t.Fatalf("at %d the ring lacks position %d", len(tokens), p)
				}
			}
		}
	}
	t.Logf("%d steps, %d times back to where was asked, %d by a mark", steps, exact, restored)
	if exact == 0 || restored == 0 {
		t.Error("nothing was tried")
	}
}

// TestMarks sees that the mark goes that is cheapest to do without, and that a
// place is not taken twice for one position.
func TestMarks(t *testing.T) {
	h := NewHistory(shaped(2), 100_000)
	for _, pos := range []int{3000, 3050, 5000, 5900, 7000} {
		for h.End < pos {
			n := min(MaxChunk, pos-h.End)
			if err := h.Begin(h.End, n); err != nil {
				t.Fatal(err)
			}
			h.Done(n)
		}
		if _, ok := h.Mark(pos); !ok {
			t.Errorf("%d was not marked", pos)
		}
		if _, ok := h.Mark(pos); ok {
			t.Errorf("%d was marked twice", pos)
		}
	}
	if _, ok := h.Mark(4000); ok {
		t.Error("a position was marked that the ring no longer holds")
	}
	for _, v := range [][2]int{{6400, 5900}, {5899, 5000}, {4999, 3000}, {2999, 0}} {
		if to, _, _ := h.Rewind(v[0]); to != v[1] {
			t.Errorf("back from %d: %d, want %d", v[0], to, v[1])
		}
	}
}
