// Linear layer: dst = src W^T + bias, or dst += that. W is in any format of
// dense.glsl.
//
// An invocation (or a subgroup) computes ROWS outputs of TILE tokens, so that a weight is
// loaded and widened once for TILE tokens and an activation once for ROWS
// outputs. The matrix may be bound in windows of rows.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(constant_id = 1) const uint ROWS = 1;
layout(constant_id = 2) const uint TILE = 1;
layout(constant_id = 3) const uint FORMAT = 0;
#include "dense.glsl"

QUAD_BUFFER(0, src)
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

float sum[ROWS * TILE];
uint w_at[ROWS], s_at[TILE]; // vectors that rows of W begin at, and those of src

#ifdef TEXEL
const bool IN_TILES = FORMAT == BF16 || FORMAT == F16;

vec4 x[TILE];

// load loads numbers 8k to 8k+31 of each token, four for each invocation.
void load(uint k) {
	[[unroll]] for (uint t = 0; t < TILE; t++) x[t] = uintBitsToFloat(src(s_at[t] + 2 * k + gl_LocalInvocationID.x));
}

// multiply adds up products of numbers 8k to 8k+7, which invocations i and i+1 have.
void multiply(uint k, uint i) {
	vec4 a[ROWS], b[ROWS];
	[[unroll]] for (uint r = 0; r < ROWS; r++) eight(w_at[r], width, IN_TILES ? k * EIGHT : k, a[r], b[r]);
	[[unroll]] for (uint t = 0; t < TILE; t++) {
		vec4 first = subgroupShuffle(x[t], i), second = subgroupShuffle(x[t], i + 1);
		[[unroll]] for (uint r = 0; r < ROWS; r++) sum[t * ROWS + r] += dot(first, a[r]) + dot(second, b[r]);
	}
}

void multiply_rows(uint n) {
	uint k = 0;
	[[dont_unroll]] for (; k + 4 <= n; k += 4) {
		load(k);
		[[unroll]] for (uint i = 0; i < 4; i++) multiply(k + i, 2 * i);
	}
	[[dont_unroll]] for (; k < n; k++) {
		load(k);
		multiply(k, 0);
	}
}
#else
void multiply_rows(uint n) {
	[[dont_unroll]] for (uint k = LANE; k < n; k += LANES) {
		vec4 a[ROWS], b[ROWS];
		[[unroll]] for (uint r = 0; r < ROWS; r++) eight(w_at[r], width, k, a[r], b[r]);
		[[unroll]] for (uint t = 0; t < TILE; t++) {
			vec4 x = uintBitsToFloat(src(s_at[t] + 2 * k)), y = uintBitsToFloat(src(s_at[t] + 2 * k + 1));
			[[unroll]] for (uint r = 0; r < ROWS; r++) sum[t * ROWS + r] += dot(x, a[r]) + dot(y, b[r]);
		}
	}
	[[unroll]] for (uint i = 0; i < ROWS * TILE; i++) sum[i] = ADDED_UP(sum[i]);
}
#endif

void main() {
	uint token = BATCH * TILE;
#ifndef TEXEL // where invocations need each other
	if (ROW(0) >= rows) return;
#endif
	uint n = width / 8, vectors = row_vectors(width);

	// Rows and tokens over the end repeat the last one; they are not stored.
	[[unroll]] for (uint r = 0; r < ROWS; r++) w_at[r] = min(ROW(r), rows - 1) * vectors;
#ifdef TEXEL
	if (IN_TILES) [[unroll]] for (uint r = 0; r < ROWS; r++) w_at[r] = tile_at(r, rows, vectors);
#endif
	[[unroll]] for (uint t = 0; t < TILE; t++) s_at[t] = min(token + t, tokens - 1) * n * 2;

	[[unroll]] for (uint i = 0; i < ROWS * TILE; i++) sum[i] = 0;
	multiply_rows(n);
	if (LANE != 0u) return;
	[[unroll]] for (uint r = 0; r < ROWS; r++) {
		if (ROW(r) >= rows) break;
		uint column = first + ROW(r);
		float c = biased == 1u ? bias[column] : 0.0;
		[[unroll]] for (uint t = 0; t < TILE; t++) {
			if (token + t < tokens) {
				uint at = (token + t) * stride + column;
				float y = sum[t * ROWS + r] + c;
				dst[at] = add == 1u ? dst[at] + y : y;
			}
		}
	}
}
