//go:build cgo && (amd64 || arm64)

package gpu

import (
	"context"
	"fmt"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
)

// state is one sequence: its cache.
type state struct {
	*Backend
	context int
	layers  []layerCache
	history graph.History
	marks   [graph.MaxMarks]*vk.Buffer // by place
	logits  []float32                  // of Forward
}

// NewState makes a sequence with room for that many positions. The cache grows
// with the sequence.
func (b *Backend) NewState(context int) (graph.State, error) {
	most := b.profile.cache / b.headBytes(graph.CachePage) * graph.CachePage
	if context < 1 || context > min(most, b.config.MaxContext) {
		return nil, fmt.Errorf("a context of %d positions: want 1 to %d of the model, and at most %d on this device", context, b.config.MaxContext, most)
	}
	return &state{Backend: b, context: context, layers: make([]layerCache, b.config.Layers), history: graph.NewHistory(b.config, context)}, nil
}

// Forward runs a pass for this sequence alone.
func (s *state) Forward(ctx context.Context, b graph.Batch) ([]float32, error) {
	if n := len(b.Rows) * s.config.Vocab; cap(s.logits) < n {
		s.logits = make([]float32, n)
	} else {
		s.logits = s.logits[:n]
	}
	return s.logits, s.Backend.Forward(ctx, []graph.Part{{State: s, Batch: b, Logits: s.logits}})
}

// Close frees the sequence.
func (s *state) Close() error {
	s.running.Lock()
	defer s.running.Unlock()
	for _, l := range s.layers {
		s.pass.forget(l.buffer, s)
		closeBuffer(l.buffer)
	}
	for _, m := range s.marks {
		closeBuffer(m)
	}
	s.layers, s.marks, s.logits = nil, [graph.MaxMarks]*vk.Buffer{}, nil
	return nil
}
