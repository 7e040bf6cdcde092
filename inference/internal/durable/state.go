package durable

import (
	"context"
	"fmt"

	"chorale/inference/internal/graph"
)

// state is a sequence that can be computed again.
type state struct {
	backend *Backend
	context int
	tokens  []uint32  // of all passes so far
	marks   []int     // positions to come back to, ascending
	logits  []float32 // of the last Forward; the device's own go when it is replaced

	// Guarded by backend.mu.
	inner graph.State // nil before it has caught up with a new device
	have  int         // tokens in inner's cache
}

// Forward runs passes over one batch each.
func (s *state) Forward(ctx context.Context, b graph.Batch) ([]float32, error) {
	err := s.run(ctx, b, func() error {
		s.logits = s.logits[:0]
		for _, piece := range split(b, s.backend.inner.Chunk()) {
			logits, err := s.inner.Forward(ctx, piece)
			if err != nil {
				return err
			}
			s.logits = append(s.logits, logits...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.logits, nil
}

// Trace is the device's. A pass that failed is shown again from its beginning.
func (s *state) Trace(ctx context.Context, b graph.Batch, tap func(r graph.Reg, values []float32)) error {
	return s.run(ctx, b, func() error { return s.inner.Trace(ctx, b, tap) })
}

func (s *state) run(ctx context.Context, b graph.Batch, pass func() error) error {
	err := s.backend.run(ctx, func() error {
		if err := s.begin(ctx, b); err != nil {
			return err
		}
		return pass()
	})
	if err == nil {
		s.done(b)
	}
	return err
}

// begin brings the cache to where the batch goes on. Whatever becomes of the
// pass, the cache holds no more than that.
func (s *state) begin(ctx context.Context, b graph.Batch) error {
	if b.Pos < 0 || b.Pos > len(s.tokens) {
		return fmt.Errorf("tokens at position %d, the sequence ends at %d", b.Pos, len(s.tokens))
	}
	err := s.catchUp(ctx, b.Pos)
	s.have = min(s.have, b.Pos)
	return err
}

// done notes a pass.
func (s *state) done(b graph.Batch) {
	s.cut(b.Pos)
	s.tokens = append(s.tokens, b.IDs...)
	s.have = len(s.tokens)
}

// cut forgets what comes from pos on.
func (s *state) cut(pos int) {
	s.tokens = s.tokens[:pos]
	for len(s.marks) > 0 && s.marks[len(s.marks)-1] > pos {
		s.marks = s.marks[:len(s.marks)-1]
	}
}

// catchUp makes the inner state hold the first n tokens at least, and the marks
// among them.
func (s *state) catchUp(ctx context.Context, n int) error {
	if s.inner == nil {
		made, err := s.backend.inner.NewState(s.context)
		if err != nil {
			return err
		}
		s.inner, s.have = made, 0
	}
	for s.have < n {
		end := min(s.have+s.backend.inner.Chunk(), n)
		marked := false
		for _, m := range s.marks {
			if m > s.have && m <= end {
				end, marked = m, true
				break
			}
		}
		if _, err := s.inner.Forward(ctx, graph.Batch{IDs: s.tokens[s.have:end], Pos: s.have}); err != nil {
			return err
		}
		if s.have = end; marked {
			if err := s.inner.Mark(end); err != nil {
				return err
			}
		}
	}
	return nil
}

// Mark is the device's.
func (s *state) Mark(pos int) error {
	err := s.backend.run(context.Background(), func() error {
		if s.inner == nil || pos > s.have {
			return nil // it is marked when the sequence catches up
		}
		return s.inner.Mark(pos)
	})
	at := len(s.marks)
	for at > 0 && s.marks[at-1] >= pos {
		at--
	}
	if err == nil && pos > 0 && pos <= len(s.tokens) && (at == len(s.marks) || s.marks[at] != pos) {
		s.marks = append(s.marks[:at:at], append([]int{pos}, s.marks[at:]...)...)
		if len(s.marks) > graph.MaxMarks {
			s.marks = s.marks[1:]
		}
	}
	return err
}

// Stretch implements graph.Stretcher.
func (s *state) Stretch(pos int) error {
	err := s.backend.run(context.Background(), func() error {
		if err := s.catchUp(context.Background(), len(s.tokens)); err != nil {
			return err
		}
		inner, ok := s.inner.(graph.Stretcher)
		if !ok {
			return fmt.Errorf("stretch: not on this device")
		}
		return inner.Stretch(pos)
	})
	if err != nil {
		return err
	}
	for n := len(s.tokens); len(s.tokens) < pos; {
		s.tokens = append(s.tokens, s.tokens[len(s.tokens)-n])
	}
	s.have, s.marks = pos, nil
	return nil
}

// Rewind is the device's; one that has the tokens to compute again goes anywhere.
func (s *state) Rewind(pos int) (to int, err error) {
	err = s.backend.run(context.Background(), func() error {
		to = min(max(pos, 0), len(s.tokens))
		if s.inner == nil || to >= s.have {
			return nil
		}
		if to, err = s.inner.Rewind(to); err == nil {
			s.have = to
		}
		return err
	})
	if err == nil {
		s.cut(to)
	}
	return to, err
}

// split cuts a batch that was made for another device into ones of at most
// chunk tokens.
func split(b graph.Batch, chunk int) []graph.Batch {
	if len(b.IDs) <= chunk {
		return []graph.Batch{b}
	}
	var parts []graph.Batch
	rows := b.Rows
	for first := 0; first < len(b.IDs); first += chunk {
		part := graph.Batch{IDs: b.IDs[first:min(first+chunk, len(b.IDs))], Pos: b.Pos + first}
		for len(rows) > 0 && rows[0] < first+len(part.IDs) {
			part.Rows = append(part.Rows, rows[0]-first)
			rows = rows[1:]
		}
		parts = append(parts, part)
	}
	return parts
}

// drop closes what the sequence has on a device that goes.
func (s *state) drop() {
	if s.inner != nil {
		_ = s.inner.Close()
		s.inner = nil
	}
}

// Close frees the sequence.
func (s *state) Close() error {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	delete(s.backend.states, s)
	if s.inner == nil {
		return nil
	}
	err := s.inner.Close()
	s.inner = nil
	return err
}
