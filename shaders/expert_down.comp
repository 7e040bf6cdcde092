// Second matrix of the chosen experts, with bias:
// dst[slot] = src[slot] W2[e]^T + b2[e]. Kernel combine sums up.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"
#include "experts.glsl"

layout(binding = 4) readonly buffer Tiles { uint tile_expert[]; }; // of a batch of one token: its choices
layout(binding = 5) writeonly buffer Dst { float dst[]; };

layout(push_constant) uniform Push {
	uint rows;
	uint width;   // inner width, a multiple of 32
	uint first;   // expert that the window begins with
	uint experts; // in the window
};

void main() {
	uint tile = BATCH, expert = tile_expert[tile];
	if (ROW(0) >= rows || expert - first >= experts) return;

	uint from[TILE];
	[[unroll]] for (uint t = 0; t < TILE; t++) from[t] = tile * TILE + t;
	multiply(expert - first, rows, width, from);
	if (LANE != 0u) return;

	[[unroll]] for (uint r = 0; r < ROWS; r++) {
		if (ROW(r) >= rows) break;
		float c = bias[expert * rows + ROW(r)];
		[[unroll]] for (uint t = 0; t < TILE; t++) dst[(tile * TILE + t) * rows + ROW(r)] = sum[t * ROWS + r] + c;
	}
}
