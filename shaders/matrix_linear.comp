// Linear layer on matrix units (matrix.glsl), for batches: dst = src W^T + bias, or
// dst += that, where weights and activations are rounded to f16. Bindings and
// constants are those of linear.comp.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"
#include "matrix.glsl"

layout(constant_id = 4) const uint FORMAT = 0;
#include "dense.glsl"

layout(binding = 0) readonly buffer Src { vec4 src[]; };
layout(binding = 2) readonly buffer Bias { float bias[]; };
layout(binding = 3) buffer Dst { float dst[]; };

layout(push_constant) uniform Push {
	uint tokens;
	uint rows;   // outputs in the window
	uint width;  // inputs, a multiple of 8
	uint first;  // output that the window begins with: column of dst, index into bias
	uint stride; // numbers per row of dst
	uint biased; // 1 where there is a bias
	uint add;    // 1 to add to dst
};

void bring(uint row, uint token, uint k, uint vectors) {
	const uint EIGHTS = STEP / 8;
	for (uint i = THREAD; i < OUTPUTS * EIGHTS; i += THREADS) {
		uint r = i / EIGHTS, c = i % EIGHTS;
		vec4 a = vec4(0), b = vec4(0);
		if (row + r < rows && k + 8 * c < width) eight((row + r) * vectors, width, k / 8 + c, a, b);
		left[r * PITCH + 2 * c] = rounded(a);
		left[r * PITCH + 2 * c + 1] = rounded(b);
	}
	for (uint i = THREAD; i < TOKENS * VECTORS; i += THREADS) {
		uint t = i / VECTORS, c = i % VECTORS;
		bool there = token + t < tokens && k + 4 * c < width;
		right[t * PITCH + c] = rounded(there ? src[((token + t) * width + k) / 4 + c] : vec4(0));
	}
}

void main() {
	uint row = gl_WorkGroupID.x * OUTPUTS, token = gl_WorkGroupID.y * TOKENS, vectors = row_vectors(width);
	clear_sums();
	[[dont_unroll]] for (uint k = 0; k < width; k += STEP) {
		bring(row, token, k, vectors);
		barrier();
		multiply();
		barrier();
	}
	[[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++) {
		show(i);
		uint r0 = row + (WHICH * DOWN + i / ACROSS) * SIDE, t0 = token + i % ACROSS * SIDE;
		for (uint j = SHARER; j < SIDE * SIDE; j += SHARERS) {
			uint r = j % SIDE, t = j / SIDE;
			if (r0 + r >= rows || t0 + t >= tokens) continue;
			uint column = first + r0 + r, at = (t0 + t) * stride + column;
			float y = shown(r, t) + (biased == 1u ? bias[column] : 0.0);
			dst[at] = add == 1u ? dst[at] + y : y;
		}
	}
}
