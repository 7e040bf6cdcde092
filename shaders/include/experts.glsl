// What the two matrices of an expert share: ROWS outputs of TILE slots, from
// MXFP4 weights [expert][row][block of 32] that may be bound in windows of
// experts. Codes and scales lie apart, as in the checkpoint.
#include "mxfp4.glsl"

layout(constant_id = 1) const uint ROWS = 2;
layout(constant_id = 2) const uint TILE = 1;

layout(binding = 0) readonly buffer Src { vec4 src[]; };
layout(binding = 1) readonly buffer Codes { uvec4 codes[]; };
layout(binding = 2) readonly buffer Scales { uint scales[]; }; // four bytes a word
layout(binding = 3) readonly buffer Bias { float bias[]; };    // [expert][row], of all experts

float sum[TILE * ROWS];

// multiply sets sum to rows row to row + ROWS - 1 (the last row repeated over
// the end) of the window's expert, times the rows of src that from names.
void multiply(uint expert, uint row, uint rows, uint width, uint from[TILE]) {
	uint blocks = width / 32;
	[[unroll]] for (uint i = 0; i < TILE * ROWS; i++) sum[i] = 0;
	[[dont_unroll]] for (uint b = 0; b < blocks; b++) {
		uvec4 q[ROWS];
		float scale[ROWS];
		[[unroll]] for (uint r = 0; r < ROWS; r++) {
			uint at = (expert * rows + min(row + r, rows - 1)) * blocks + b;
			q[r] = codes[at];
			scale[r] = e8m0_halved(scales[at / 4] >> (at % 4 * 8) & 255u);
		}
		[[unroll]] for (uint i = 0; i < 4; i++) {
			vec4 w[2 * ROWS];
			[[unroll]] for (uint r = 0; r < ROWS; r++) {
				e2m1_word(q[r][i], w[2 * r], w[2 * r + 1]);
				w[2 * r] *= scale[r];
				w[2 * r + 1] *= scale[r];
			}
			[[unroll]] for (uint t = 0; t < TILE; t++) {
				uint at = from[t] * (width / 4) + b * 8 + i * 2;
				vec4 x = src[at], y = src[at + 1];
				[[unroll]] for (uint r = 0; r < ROWS; r++) sum[t * ROWS + r] += dot(x, w[2 * r]) + dot(y, w[2 * r + 1]);
			}
		}
	}
}
