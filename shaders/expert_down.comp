// Second matrix of the chosen experts, with bias. For a batch of one token it
// adds the weighted sum to the residual stream at once:
//
//	dst += sum_j mix[j] * (src[j] W2[e_j]^T + b2[e_j])
//
// Otherwise dst[slot] = src[slot] W2[e]^T + b2[e], and kernel combine sums up.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"
#include "experts.glsl"

layout(binding = 4) readonly buffer Tiles { uint tile_expert[]; }; // of a batch of one token: its choices
layout(binding = 5) readonly buffer Mix { float mix_[]; };         // read for a batch of one token
layout(binding = 6) buffer Dst { float dst[]; };

layout(push_constant) uniform Push {
	uint rows;
	uint width;   // inner width, a multiple of 32
	uint first;   // expert that the window begins with
	uint experts; // in the window
	uint top;     // experts per token, for a batch of one token; else 0
};

void main() {
	uint row = gl_GlobalInvocationID.x * ROWS, tile = gl_WorkGroupID.y;
	if (row >= rows) return;
	float total[ROWS];
	[[unroll]] for (uint r = 0; r < ROWS; r++) total[r] = 0;
	for (uint j = 0; j < max(top, 1); j++) {
		uint expert = tile_expert[tile + j];
		if (expert - first >= experts) continue;
		uint from[TILE];
		[[unroll]] for (uint t = 0; t < TILE; t++) from[t] = (tile + j) * TILE + t;
		multiply(expert - first, row, rows, width, from);
		[[unroll]] for (uint r = 0; r < ROWS; r++) {
			if (row + r < rows) {
				float c = bias[expert * rows + row + r];
				if (top > 0) {
					total[r] += mix_[j] * (sum[r] + c);
				} else {
					[[unroll]] for (uint t = 0; t < TILE; t++) dst[(tile * TILE + t) * rows + row + r] = sum[t * ROWS + r] + c;
				}
			}
		}
	}
	if (top == 0) return;
	[[unroll]] for (uint r = 0; r < ROWS; r++)
		if (row + r < rows) dst[row + r] += total[r];
}
