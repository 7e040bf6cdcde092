// Second matrix of the chosen experts with bias, as expert_down.comp, on matrix
// units (matrix.glsl), for batches: weights and activations are rounded to f16.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"
#include "matrix_experts.glsl"

layout(binding = 4) readonly buffer Tiles { uint tile_expert[]; };
layout(binding = 5) writeonly buffer Dst { float dst[]; };

layout(push_constant) uniform Push {
	uint rows;
	uint width;   // inner width, a multiple of 32
	uint first;   // expert that the window begins with
	uint experts; // in the window
};

void bring_slots(uint slot, uint k) {
	for (uint i = THREAD; i < TOKENS * VECTORS; i += THREADS) {
		uint t = i / VECTORS, c = i % VECTORS;
		right[t * PITCH + c] = rounded(src[((slot + t) * width + k) / 4 + c]);
	}
}

void main() {
	uint row = gl_WorkGroupID.x * OUTPUTS, slot = gl_WorkGroupID.y * TOKENS;
	uint expert = tile_expert[gl_WorkGroupID.y];
	if (expert - first >= experts) return;
	clear_sums();
	[[dont_unroll]] for (uint k = 0; k < width; k += STEP) {
		bring_codes(expert - first, row, rows, width, k);
		bring_slots(slot, k);
		barrier();
		multiply();
		barrier();
	}
	[[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++) {
		show(i);
		uint r0 = row + (WHICH * DOWN + i / ACROSS) * SIDE, s0 = slot + i % ACROSS * SIDE;
		for (uint j = SHARER; j < SIDE * SIDE; j += SHARERS) {
			uint r = j % SIDE, t = j / SIDE;
			if (r0 + r < rows) dst[(s0 + t) * rows + r0 + r] = shown(r, t) * UNSHIFT + bias[expert * rows + r0 + r];
		}
	}
}
