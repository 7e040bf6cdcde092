package graph

import "fmt"

// KVType is the type of the numbers in a KV cache. The zero value leaves the
// choice to the backend.
type KVType uint8

// The types of a KV cache. gpt-oss was trained and is served with keys and
// values in bf16; f16 has three bits more of each number.
const (
	KVDefault KVType = iota
	KVF32
	KVF16
)

// Or returns k, or d where k leaves the choice.
func (k KVType) Or(d KVType) KVType {
	if k == KVDefault {
		return d
	}
	return k
}

// Bytes is the size of one number.
func (k KVType) Bytes() int {
	if k == KVF16 {
		return 2
	}
	return 4
}

func (k KVType) String() string {
	switch k {
	case KVF32:
		return "f32"
	case KVF16:
		return "f16"
	}
	return "default"
}

// ParseKVType reads "f32", "f16", or "" for the backend's own choice.
func ParseKVType(name string) (KVType, error) {
	switch name {
	case "":
		return KVDefault, nil
	case "f32":
		return KVF32, nil
	case "f16":
		return KVF16, nil
	}
	return 0, fmt.Errorf("KV cache of type %q: want f32 or f16", name)
}

const (
	// MaxChunk is the most tokens that any backend takes in one pass.
	MaxChunk = 512

	// MaxParts is the most sequences that share a pass.
	MaxParts = 8

	// CachePage is the unit of a cache: layers hold a multiple of that many
	// positions, and kernels work through them in aligned blocks of as many.
	CachePage = 64

	// MaxMarks is how many marks a State keeps; see History.
	MaxMarks = 4
)

// pages rounds positions up to whole pages.
func pages(n int) int { return (n + CachePage - 1) / CachePage * CachePage }

// Slots returns how many positions a layer's cache holds in a context: all of
// them, or where the layer slides no more than a pass of MaxChunk tokens needs,
// the window before its first token included. Position p lies in slot p modulo
// that number.
func (c *Config) Slots(layer, context int) int {
	all := pages(context)
	if c.Window[layer] == 0 {
		return all
	}
	return min(all, pages(c.reach()+MaxChunk))
}

// Ring reports whether a layer's slots are fewer than the context, so that old
// positions are overwritten.
func (c *Config) Ring(layer, context int) bool { return c.Slots(layer, context) < pages(context) }

// reach is how many positions back the sliding layers see.
func (c *Config) reach() int {
	widest := 1
	for _, w := range c.Window {
		widest = max(widest, w)
	}
	return widest - 1
}

// MarkSlots is how many positions of each ring a mark holds.
func (c *Config) MarkSlots() int { return pages(c.reach()) }

// CacheBytes returns the memory that one sequence's keys and values take, marks
// included, when it has filled its context.
func CacheBytes(c *Config, context int, kv KVType) int64 {
	positions := 0
	for l := range c.Layers {
		positions += c.Slots(l, context)
		if c.Ring(l, context) {
			positions += MaxMarks * c.MarkSlots()
		}
	}
	return int64(positions) * int64(2*c.KVWidth()*kv.Bytes())
}
