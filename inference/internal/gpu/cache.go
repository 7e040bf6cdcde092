//go:build cgo && (amd64 || arm64)

package gpu

import (
	"errors"
	"fmt"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
)

// layerCache is a layer's keys and values, [keys and values][KV head][slot][64].
// Position p lies in slot p modulo slots.
type layerCache struct {
	buffer *vk.Buffer
	slots  int
}

// A cache starts with room for a kilotoken and grows by a quarter. It is copied
// layer by layer, so beside itself it needs room for one layer only, and when it
// has reached the context nothing is left over.
const firstSlots = 1024

// headBytes is the size of one KV head's keys, or values, in so many slots.
func (b *Backend) headBytes(slots int) int { return slots * 64 * b.kv.Bytes() }

// reserve makes room for positions up to end.
func (s *state) reserve(end int) error {
	first := s.profile.slots
	for l := range s.layers {
		limit, have := s.config.Slots(l, s.context), s.layers[l].slots
		if need := min(end, limit); need > have {
			slots := min(limit, ceil(max(need, have+have/4, first), graph.CachePage)*graph.CachePage)
			if err := s.grow(l, slots); err != nil {
				return fmt.Errorf("KV cache of %d positions: %w", slots, err)
			}
		}
	}
	return nil
}

// grow gives a layer more slots. It has not overwritten any: layers grow until
// they have the slots of a ring, and only then begin again.
func (s *state) grow(l, slots int) error {
	old, kv := s.layers[l], s.config.KVHeads
	buffer, err := s.device.NewBuffer(2*kv*s.headBytes(slots), vk.Local)
	if err != nil {
		return err
	}
	if keep := s.headBytes(min(old.slots, s.history.End)); keep > 0 {
		err := s.once(func(c *vk.Commands) {
			for h := range 2 * kv {
				c.Copy(buffer, h*s.headBytes(slots), old.buffer, h*s.headBytes(old.slots), keep)
			}
		})
		if err != nil {
			buffer.Close()
			return err
		}
	}
	s.pass.forget(old.buffer, s)
	closeBuffer(old.buffer)
	s.layers[l] = layerCache{buffer, slots}
	return nil
}

// closeBuffer closes a buffer, unless it was never made.
func closeBuffer(b *vk.Buffer) {
	if b != nil {
		b.Close()
	}
}

// heads is a window of a layer's KV heads.
type heads struct {
	first, count int
	keys, values vk.Range
}

// windows cuts a layer's cache into what the device can bind.
func (s *state) windows(l int) []heads {
	var all []heads
	c, kv := &s.layers[l], s.config.KVHeads
	one := s.headBytes(c.slots)
	most := max(1, s.profile.cache/one)
	for first := 0; first < kv; first += most {
		n := min(most, kv-first)
		all = append(all, heads{first, n,
			vk.Range{Buffer: c.buffer, Offset: first * one, Size: n * one},
			vk.Range{Buffer: c.buffer, Offset: (kv + first) * one, Size: n * one}})
	}
	return all
}

// Mark copies what the sliding layers need at pos. Where there is no memory for
// it, going back there costs computing again, which is no reason to fail.
func (s *state) Mark(pos int) error {
	s.running.Lock()
	defer s.running.Unlock()
	place, ok := s.history.Mark(pos)
	if !ok {
		return nil
	}
	if s.marks[place] == nil {
		var err error
		if s.marks[place], err = s.device.NewBuffer(s.markBytes(), vk.Local); err != nil {
			s.history.Forget(place)
			if errors.Is(err, ErrOutOfMemory) {
				return nil
			}
			return fmt.Errorf("mark position %d: %w", pos, err)
		}
	}
	if err := s.once(func(c *vk.Commands) { s.copyMark(c, place, pos, false) }); err != nil {
		s.history.Forget(place)
		return fmt.Errorf("mark position %d: %w", pos, err)
	}
	return nil
}

// Rewind copies a mark back where it must.
func (s *state) Rewind(pos int) (int, error) {
	s.running.Lock()
	defer s.running.Unlock()
	to, place, restore := s.history.Rewind(pos)
	if !restore {
		return to, nil
	}
	if err := s.once(func(c *vk.Commands) { s.copyMark(c, place, to, true) }); err != nil {
		return s.history.Restart(), fmt.Errorf("rewind to position %d: %w", to, err)
	}
	return to, nil
}

// Stretch doubles what each layer holds until it has enough.
func (s *state) Stretch(pos int) error {
	s.running.Lock()
	defer s.running.Unlock()
	have := s.history.End
	if pos > s.context {
		return fmt.Errorf("stretch to %d positions, the context is %d", pos, s.context)
	}
	if err := s.reserve(pos); err != nil {
		return err
	}
	if err := s.history.Stretch(pos); err != nil {
		return err
	}
	for l := range s.layers {
		c := &s.layers[l]
		for n := min(have, c.slots); n < min(pos, c.slots); n = min(2*n, c.slots) {
			more := s.headBytes(min(n, c.slots-n))
			err := s.once(func(k *vk.Commands) {
				for h := range 2 * s.config.KVHeads {
					head := h * s.headBytes(c.slots)
					k.Copy(c.buffer, head+s.headBytes(n), c.buffer, head, more)
				}
			})
			if err != nil {
				return fmt.Errorf("stretch to %d positions: %w", pos, err)
			}
		}
	}
	return nil
}

// markBytes is the size of a mark, [ring][keys and values][KV head][slot][64].
func (s *state) markBytes() int {
	n := 0
	for l := range s.layers {
		if s.config.Ring(l, s.context) {
			n += 2 * s.config.KVHeads * s.headBytes(s.config.MarkSlots())
		}
	}
	return n
}

// copyMark records the copies of a mark at pos, into it or back.
func (s *state) copyMark(c *vk.Commands, place, pos int, back bool) {
	mark := s.marks[place]
	at := 0
	for l := range s.layers {
		if !s.config.Ring(l, s.context) {
			continue
		}
		ring := &s.layers[l]
		for h := range 2 * s.config.KVHeads {
			to := at
			for p := s.history.Need(pos); p < pos; {
				slot := p % ring.slots
				n := min(pos-p, ring.slots-slot)
				from, size := h*s.headBytes(ring.slots)+s.headBytes(slot), s.headBytes(n)
				if back {
					c.Copy(ring.buffer, from, mark, to, size)
				} else {
					c.Copy(mark, to, ring.buffer, from, size)
				}
				p, to = p+n, to+size
			}
			at += s.headBytes(s.config.MarkSlots())
		}
	}
}
