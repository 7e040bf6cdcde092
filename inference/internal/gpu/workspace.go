package gpu

import (
	"chorale/inference/internal/graph"
	"chorale/inference/internal/sample"
)

const (
	align        = 256      // of every range: no device asks for more
	staging      = 16 << 20 // bytes of weights copied at a time
	tile         = 8        // slots that share a look at an expert's weights, at most
	splitsAtOnce = 2048     // splits of attention, times tokens, that there is room for

	few = 4 // tokens, as sequences bring that decode together

	fragment   = 16 // numbers on a side of what matrix units multiply at once
	matrixTile = 32 // as tile, on them
)

func ceil(a, b int) int { return (a + b - 1) / b }

// span is a place in the memory of the registers, in bytes.
type span struct{ offset, size int }

// workspace is where a pass's registers lie, for batches of up to chunk tokens, in
// one buffer but for the logits. Queries, keys and values are columns of one
// matrix.
type workspace struct {
	register [graph.NumRegs]span

	// The experts' work on a batch: choices sorted by expert into slots, tiles
	// of slots, and the activations of each slot.
	tiles, slotTokens, slotOf span // as kernel group writes them
	inner                     span // [slots, Width]
	outer                     span // [slots, Hidden]

	// Attention whose keys are split, [token][split][head]: sums, and what they are
	// relative to.
	splitSums, splitTotals span

	between span // of attention that is walked in segments, [tokens, Heads, 2]

	size, widest int
}

// newWorkspace lays the registers out. A pass of chunk tokens has tiles of that
// many slots.
func newWorkspace(c *graph.Config, chunk, tile int) workspace {
	var w workspace
	qkv := w.words(chunk * (c.QWidth() + 2*c.KVWidth()))
	for r := range graph.Reg(graph.NumRegs) {
		switch r {
		case graph.Q, graph.K, graph.V:
			w.register[r] = qkv
		case graph.Logits:
		default:
			w.register[r] = w.words(chunk * c.RegWidth(r))
		}
	}
	choices := chunk * c.TopK
	slots := choices
	if chunk > 1 {
		slots = tiles(c, chunk, tile) * tile
	}
	w.tiles, w.slotTokens, w.slotOf = w.words(2*choices), w.words(slots), w.words(choices)
	w.inner, w.outer = w.words(slots*c.Width), w.words(slots*c.Hidden)
	w.between = w.words(2 * chunk * c.Heads)
	n := max(chunk, splitsAtOnce) * c.Heads
	w.splitSums, w.splitTotals = w.words(64*n), w.words(2*n)
	return w
}

// words places n numbers of 32 bits.
func (w *workspace) words(n int) span {
	s := span{w.size, ceil(4*n, 16) * 16}
	w.size += ceil(s.size, align) * align
	w.widest = max(w.widest, s.size)
	return s
}

// tileOf is how many slots share a look at an expert's weights in a pass over n
// tokens, at most so many: more than a few times its share of the choices would only
// be padding. It is a power of two. From so many tokens on as least says it is whole
// fragments of matrix units or of what stands for them.
func tileOf(c *graph.Config, n, most, least, times int) int {
	tile, share := 1, times*n*c.TopK
	if n >= least {
		tile, most, share = fragment, matrixTile, n*c.TopK
	}
	for tile < most && tile*c.Experts < share {
		tile *= 2
	}
	return min(tile, most)
}

// timesOf is how often a tile of a profile has slots for an expert's share of the
// choices.
func timesOf(profile string) int {
	if profile == Texel { // an empty slot costs what a full one does
		return 1
	}
	return 2
}

// tiles is the most tiles that the choices of n tokens can fill: each expert
// may leave all but one slot of its last tile empty.
func tiles(c *graph.Config, n, tile int) int {
	choices := n * c.TopK
	return (choices + min(choices, c.Experts)*(tile-1)) / tile
}

// PassBytes returns the device memory that a backend takes beside the weights
// and the caches in a kernel profile: registers for a full chunk, logits, and what
// choosing tokens needs.
func PassBytes(c *graph.Config, profile string) int64 {
	least := graph.MaxChunk + 1
	if profile == Matrix || profile == Tiled {
		least = fragment
	}
	tile := tileOf(c, graph.MaxChunk, tile, least, timesOf(profile))
	words := graph.MaxDraws/2*c.Vocab + (graph.MaxDraws+stayingMasks)*maskWords(c.Vocab) + graph.MaxDraws*(howWords+2*summaryWords)
	return int64(newWorkspace(c, graph.MaxChunk, tile).size) + int64(batchBytes(graph.MaxChunk)) + 4*int64(words)
}

const (
	howWords     = 8                                    // how a token is chosen, as include/draw.glsl has it
	summaryWords = 4 + 2*sample.Slices + 2*sample.Above // of a row
	stayingMasks = 2 * graph.MaxParts                   // masks that are kept beside those of a pass
)

// maskWords is the size of a mask in words of 32 bits: whole ones of 64.
func maskWords(vocab int) int { return ceil(vocab, 64) * 2 }

// batchBytes is the size of what differs between two passes.
func batchBytes(chunk int) int {
	var l workspace
	newInputs(&l, chunk)
	return l.size
}

// inputs is what differs between two passes: the host writes it, the
// kernels read it.
type inputs struct {
	positions   span // of each part's first token
	ids, wanted span // tokens, and those among them whose logits are wanted
	tables      span // of RoPE, [tokens, 32 cosines and 32 sines]
}

func newInputs(l *workspace, chunk int) inputs {
	return inputs{positions: l.words(graph.MaxParts), ids: l.words(chunk), wanted: l.words(chunk), tables: l.words(chunk * 64)}
}

// crossing is what goes from the device to the host and back where the host
// computes: [tokens] rows of the registers of these names.
type crossing struct{ x, norm, choice, mix span }

func newCrossing(l *workspace, c *graph.Config, chunk int) crossing {
	return crossing{
		x: l.words(chunk * c.Hidden), norm: l.words(chunk * c.Hidden),
		choice: l.words(chunk * c.TopK), mix: l.words(chunk * c.TopK),
	}
}

// CrossingBytes returns the host's memory that a backend takes for what the host
// computes.
func CrossingBytes(c *graph.Config) int64 {
	var l workspace
	newCrossing(&l, c, graph.MaxChunk)
	return int64(l.size)
}

// DriverBytes is about what a driver takes of the host's memory to compile the
// kernels and to keep its books; it is what lavapipe takes.
const DriverBytes = 30e6

// StagingBytes is the host's memory that loading takes where the host does not
// see the device's.
const StagingBytes = 2 * staging
