package shaders

// The push constants of each kernel, field by field as the source declares
// them. What they mean stands there. A test compares offsets and types with
// those in the SPIR-V.
type (
	EmbedPush struct{ Tokens, Width, First, Rows uint32 }

	NormPush struct {
		Width uint32
		Eps   float32
	}

	LinearPush struct{ Tokens, Rows, Width, First, Stride, Biased, Add uint32 }

	RopePush struct {
		Part, Row, Tokens, Slots, KVFirst, KVCount [RopeShares]uint32
		Heads, KVHeads                             uint32
	}

	AttendPush struct {
		Tokens, KVHeads, KVFirst, Slots, Window, Part, Row uint32
		SegmentBegin, SegmentEnd, LastSegment              uint32
	}

	MergePush struct{ Heads, Part, Row, First, Count, PositionsEach, At, Last uint32 }

	TopKPush struct{ Tokens, Experts, Top uint32 }

	GroupPush struct{ Choices, Top, Tiles uint32 }

	ExpertUpPush struct {
		Rows, Width, First, Experts, Grouped uint32
		Limit, Alpha                         float32
	}

	ExpertDownPush struct{ Rows, Width, First, Experts uint32 }

	CombinePush struct{ Width, Top, Grouped uint32 }

	PickPush struct{ Width uint32 }

	DrawPush struct{ Vocab, Words uint32 } // of Above too
)

// RopeShares is how many sequences, or windows of one's cache, kernel rope serves at most.
const RopeShares = 4

// Format is how a dense matrix is packed, as include/dense.glsl numbers it.
type Format uint32

// The formats of a dense matrix.
const (
	FormatBF16 Format = iota
	FormatF16
	FormatF32
	FormatQ8
)
