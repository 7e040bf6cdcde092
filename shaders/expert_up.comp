// First matrix of the chosen experts, with bias and SwiGLU:
//
//	u = src W1[e]^T + b1[e]; gate = min(u[2i], limit), lin = clamp(u[2i+1], -limit, limit)
//	dst[slot][i] = gate * sigmoid(alpha * gate) * (lin + 1)
//
// ROWS is even, so that a gate and its partner meet in one invocation.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"
#include "experts.glsl"

layout(binding = 4) readonly buffer Tiles { uint tile_expert[]; };  // of a batch of one token: its choices
layout(binding = 5) readonly buffer Tokens { uint slot_token[]; };  // not read for a batch of one token
layout(binding = 6) writeonly buffer Dst { float dst[]; };

layout(push_constant) uniform Push {
	uint rows;    // 2 * inner width
	uint width;   // inputs, a multiple of 32
	uint first;   // expert that the window begins with
	uint experts; // in the window
	uint grouped; // 0 for a batch of one token
	float limit;
	float alpha;
};

void main() {
	uint tile = BATCH, expert = tile_expert[tile];
	if (ROW(0) >= rows || expert - first >= experts) return;

	uint from[TILE];
	[[unroll]] for (uint t = 0; t < TILE; t++) {
		uint token = grouped == 1 ? slot_token[tile * TILE + t] : 0;
		from[t] = token == 0xffffffffu ? 0 : token;
	}
	multiply(expert - first, rows, width, from);
	if (LANE != 0u) return;

	[[unroll]] for (uint r = 0; r < ROWS; r += 2) {
		if (ROW(r) >= rows) break;
		uint b = expert * rows + ROW(r);
		[[unroll]] for (uint t = 0; t < TILE; t++) {
			float gate = min(sum[t * ROWS + r] + bias[b], limit);
			float lin = clamp(sum[t * ROWS + r + 1] + bias[b + 1], -limit, limit);
			dst[(tile * TILE + t) * (rows / 2) + ROW(r) / 2] = gate / (1 + exp(-alpha * gate)) * (lin + 1);
		}
	}
}
