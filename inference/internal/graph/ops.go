package graph

import "chorale/inference/internal/weights"

// Reg names an activation register: a matrix of f32 with one row for each token
// of the pass, part after part, reused by every layer. The width of a row is
// Config.RegWidth.
type Reg uint8

// The registers of a pass.
const (
	X       Reg = iota // residual stream [T, Hidden]
	Norm               // normalised X, input of attention and of the experts [T, Hidden]
	Q                  // queries [T, Heads*HeadDim]
	K                  // keys of this pass [T, KVHeads*HeadDim]
	V                  // values of this pass [T, KVHeads*HeadDim]
	Ctx                // attention output, heads side by side [T, Heads*HeadDim]
	Router             // router logits [T, Experts]
	Choice             // chosen experts, highest logit first [T, TopK]; integers
	Mix                // their weights, in the same order [T, TopK]
	Last               // X of the rows whose logits are wanted [R, Hidden]
	LastN              // the same, normalised [R, Hidden]
	Logits             // [R, Vocab]
	NumRegs = iota
)

// Ops is what a backend can do: the operations of a gpt-oss layer on registers.
// A call may compute at once (ref) or record (gpu), so an implementation keeps
// its first error until the end of the pass.
//
// Everything that differs between two passes is in the parts that the backend was
// given before: sequences, token ids, positions, wanted rows. No argument here
// depends on it, so the calls recorded for one token of a sequence serve for every
// later one.
type Ops interface {
	// Embed sets X to the rows of table that the pass's ids name, unscaled.
	Embed(table *weights.Tensor)

	// RMSNorm sets dst = src / sqrt(mean(src²) + eps) * gain, row by row. The
	// product with gain is in f32.
	RMSNorm(dst, src Reg, gain *weights.Tensor)

	// Linear sets dst = src Wᵀ + b. W is BF16 [out, in]; b may be nil.
	Linear(dst, src Reg, a *Affine)

	// AddLinear adds src Wᵀ + b to dst.
	AddLinear(dst, src Reg, a *Affine)

	// Rotate applies RoPE to Q or K in place, head by head, at the positions
	// of the rows. Pairs are halves of a head, (i, i+HeadDim/2), and the
	// tables (Config.Rotary) carry the concentration.
	Rotate(r Reg)

	// Append stores K and V in the layer's caches, each row's in that of its
	// sequence at its position.
	Append(layer int)

	// Attend sets Ctx to the attention of Q over the layer's caches, each row's
	// over that of its sequence, which holds the pass's own keys already. A
	// query at position p sees positions p-w+1 to p, where w =
	// Config.Window[layer], or 0 to p where w is 0. Scores are
	// q·k/sqrt(HeadDim). sinks has one more logit a head, not scaled, that
	// enters the softmax's maximum and denominator (once) and has no value.
	// Query head h uses KV head h / (Heads/KVHeads).
	Attend(layer int, sinks *weights.Tensor)

	// Route sets Choice to the TopK largest of Router, in descending order, the
	// lower index first among equals, and Mix to the softmax over those alone.
	Route()

	// Experts adds the chosen experts' outputs on Norm to X, weighted by Mix:
	//
	//	u = Norm up[e]ᵀ + upBias[e]          2*Width values, gate and up by turns
	//	gate = min(u[0::2], Limit), lin = clamp(u[1::2], -Limit, Limit)
	//	a = gate * sigmoid(Alpha * gate) * (lin + 1)
	//	X += Mix[e] * (a down[e]ᵀ + downBias[e])
	Experts(up, down *Affine)

	// Pick copies the rows of X whose logits are wanted to Last.
	Pick()
}
