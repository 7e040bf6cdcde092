package ref

import (
	"context"
	"fmt"

	"chorale/inference/internal/graph"
)

// state is one sequence.
type state struct {
	*Backend
	context int
	cache   cache
	history graph.History
	marks   [graph.MaxMarks][]layerCache // by place, of layers that are rings
	logits  []float32                    // of Forward
}

// Forward implements graph.State.
func (s *state) Forward(ctx context.Context, b graph.Batch) ([]float32, error) {
	s.logits = resize(s.logits, len(b.Rows)*s.c.Vocab)
	err := s.Backend.Forward(ctx, []graph.Part{{State: s, Batch: b, Logits: s.logits}})
	return s.logits, err
}

// Trace implements graph.State.
func (s *state) Trace(ctx context.Context, b graph.Batch, tap func(graph.Reg, []float32)) error {
	s.logits = resize(s.logits, len(b.Rows)*s.c.Vocab)
	return s.run(ctx, []graph.Part{{State: s, Batch: b, Logits: s.logits}}, tap)
}

// Mark implements graph.State.
func (s *state) Mark(pos int) error {
	place, ok := s.history.Mark(pos)
	if !ok {
		return nil
	}
	mark := s.marks[place]
	if mark == nil {
		mark = make([]layerCache, s.c.Layers)
		s.marks[place] = mark
	}
	s.eachRing(func(l int, c *layerCache) {
		if mark[l].pages == nil {
			mark[l] = newLayerCache(s.c, s.c.MarkSlots(), s.kv)
		}
		for p := s.history.Need(pos); p < pos; p++ {
			mark[l].copy(p, c, p)
		}
	})
	return nil
}

// Rewind implements graph.State.
func (s *state) Rewind(pos int) (int, error) {
	to, place, restore := s.history.Rewind(pos)
	if restore {
		s.eachRing(func(l int, c *layerCache) {
			for p := s.history.Need(to); p < to; p++ {
				c.copy(p, &s.marks[place][l], p)
			}
		})
	}
	return to, nil
}

// Stretch implements graph.Stretcher.
func (s *state) Stretch(pos int) error {
	have := s.history.End
	if pos > s.context {
		return fmt.Errorf("stretch to %d positions, the context is %d", pos, s.context)
	}
	if err := s.history.Stretch(pos); err != nil {
		return err
	}
	for l := range s.cache.layers {
		c := &s.cache.layers[l]
		slots := len(c.pages) * graph.CachePage
		for p := max(have, pos-slots); p < pos; p++ {
			c.copy(p, c, max(0, have-slots)+p%min(have, slots))
		}
	}
	return nil
}

// eachRing calls f for every layer whose cache is a ring.
func (s *state) eachRing(f func(layer int, c *layerCache)) {
	for l := range s.cache.layers {
		if s.c.Ring(l, s.context) {
			f(l, &s.cache.layers[l])
		}
	}
}

// Close frees the cache.
func (s *state) Close() error {
	s.cache, s.marks, s.logits = cache{}, [graph.MaxMarks][]layerCache{}, nil
	return nil
}
