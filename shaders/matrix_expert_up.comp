// First matrix of the chosen experts with bias and SwiGLU, as expert_up.comp, on
// matrix units (matrix.glsl), for batches: weights and activations are rounded to
// f16.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"
#include "matrix_experts.glsl"

layout(binding = 4) readonly buffer Tiles { uint tile_expert[]; };
layout(binding = 5) readonly buffer Tokens { uint slot_token[]; };
layout(binding = 6) writeonly buffer Dst { float dst[]; };

layout(push_constant) uniform Push {
	uint rows;    // 2 * inner width
	uint width;   // inputs, a multiple of 32
	uint first;   // expert that the window begins with
	uint experts; // in the window
	uint grouped; // 1
	float limit;
	float alpha;
};

void bring_tokens(uint slot, uint k) {
	for (uint i = THREAD; i < TOKENS * VECTORS; i += THREADS) {
		uint t = i / VECTORS, c = i % VECTORS, token = slot_token[slot + t];
		right[t * PITCH + c] = rounded(token != 0xffffffffu ? src[(token * width + k) / 4 + c] : vec4(0));
	}
}

void main() {
	uint row = gl_WorkGroupID.x * OUTPUTS, slot = gl_WorkGroupID.y * TOKENS;
	uint expert = tile_expert[gl_WorkGroupID.y];
	if (expert - first >= experts) return;
	clear_sums();
	[[dont_unroll]] for (uint k = 0; k < width; k += STEP) {
		bring_codes(expert - first, row, rows, width, k);
		bring_tokens(slot, k);
		barrier();
		multiply();
		barrier();
	}
	[[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++) {
		show(i);
		uint r0 = row + (WHICH * DOWN + i / ACROSS) * SIDE, s0 = slot + i % ACROSS * SIDE;
		for (uint j = SHARER; j < SIDE * SIDE / 2; j += SHARERS) {
			uint r = j % (SIDE / 2) * 2, t = j / (SIDE / 2), b = expert * rows + r0 + r;
			if (r0 + r >= rows) continue;
			float gate = min(shown(r, t) * UNSHIFT + bias[b], limit);
			float lin = clamp(shown(r + 1, t) * UNSHIFT + bias[b + 1], -limit, limit);
			dst[(s0 + t) * (rows / 2) + (r0 + r) / 2] = gate / (1 + exp(-alpha * gate)) * (lin + 1);
		}
	}
}
