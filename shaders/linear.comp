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

void main() {
	uint token = BATCH * TILE;
	if (ROW(0) >= rows) return;
	uint n = width / 8, vectors = row_vectors(width);

	// Rows and tokens over the end repeat the last one; they are not stored.
	uint w_at[ROWS], s_at[TILE];
	[[unroll]] for (uint r = 0; r < ROWS; r++) {
		uint row = min(ROW(r), rows - 1);
		w_at[r] = (IN_TILES ? row / TALL * TALL : row) * vectors;
	}
	[[unroll]] for (uint t = 0; t < TILE; t++) s_at[t] = min(token + t, tokens - 1) * n * 2;

	float sum[ROWS * TILE];
	[[unroll]] for (uint i = 0; i < ROWS * TILE; i++) sum[i] = 0;
	[[dont_unroll]] for (uint k = LANE; k < n; k += LANES) {
		vec4 a[ROWS], b[ROWS];
		uint first = k - LANE, step = IN_TILES ? first * TALL + LANE : k, apart = IN_TILES ? min(LANES, n - first) : 0; // vectors between rows of a tile
		[[unroll]] for (uint r = 0; r < ROWS; r++) eight(w_at[r] + r % TALL * apart, width, step, a[r], b[r]);
		[[unroll]] for (uint t = 0; t < TILE; t++) {
			vec4 x = uintBitsToFloat(src(s_at[t] + 2 * k)), y = uintBitsToFloat(src(s_at[t] + 2 * k + 1));
			[[unroll]] for (uint r = 0; r < ROWS; r++) sum[t * ROWS + r] += dot(x, a[r]) + dot(y, b[r]);
		}
	}

	[[unroll]] for (uint i = 0; i < ROWS * TILE; i++) sum[i] = ADDED_UP(sum[i]);
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
