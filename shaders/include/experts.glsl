// What the two matrices of an expert share: ROWS outputs of TILE slots, from
// MXFP4 weights [expert][row][block of 32] that may be bound in windows of
// experts. Codes and scales lie apart. Scales are [expert][row / 4][block], four
// rows' to a word; with TEXEL, codes are in tiles (see base.glsl), and scales are [expert]
// [workgroup][block / 4][invocation][block % 4][row], four rows' to a word as well.
#include "mxfp4.glsl"

layout(constant_id = 1) const uint ROWS = 2;
layout(constant_id = 2) const uint TILE = 1;

QUAD_BUFFER(0, src)
QUAD_BUFFER(1, codes)
#ifdef TEXEL
QUAD_BUFFER(2, scales)
#else
layout(binding = 2) readonly buffer Scales { uint scales[]; };
#endif
layout(binding = 3) readonly buffer Bias { float bias[]; };    // [expert][row], of all experts

// Products are in f32. With HALF eight at a time are added up in f16, codes and
// activations without their scale, which both fit; with DOT activations are
// rounded to bytes, relative to the largest of a block.
#ifdef HALF
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define REAL4 f16vec4
#define BEFORE(scale) 1.0
#define AFTER(scale) (scale)
#else
#define REAL4 vec4
#define BEFORE(scale) (scale)
#define AFTER(scale) 1.0
#endif

#ifdef DOT
#extension GL_EXT_spirv_intrinsics : require
// OpSDotKHR on four signed bytes a word (format 0), which the pinned compiler
// has no function for.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450)
int dot_i8x4(int a, int b, spirv_literal int format);

// quantise rounds the 32 activations from src[at] on and returns what one is
// worth.
float quantise(uint at, out int x[8]) {
	float most = 0;
	[[unroll]] for (uint i = 0; i < 8; i++) {
		vec4 v = abs(uintBitsToFloat(src(at + i)));
		most = max(most, max(max(v.x, v.y), max(v.z, v.w)));
	}
	float scale = most > 0 ? 1 / most : 0;
	[[unroll]] for (uint i = 0; i < 8; i++) x[i] = int(packSnorm4x8(uintBitsToFloat(src(at + i)) * scale));
	return most / 127;
}

// e2m1_bytes returns twice the values of the four codes in the lower half.
int e2m1_bytes(uint word) {
	uint bytes = 0;
	[[unroll]] for (uint i = 0; i < 4; i++) {
		uint code = word >> 4 * i & 15u, magnitude = 0xC8643210u >> ((code & 7u) << 2) & 15u;
		bytes |= ((code & 8u) != 0 ? -magnitude & 255u : magnitude) << 8 * i;
	}
	return int(bytes);
}
#endif

float sum[TILE * ROWS];

#ifdef TEXEL
// multiply sets sum to this invocation's rows of the window's expert, times the rows of
// src that from names. ROWS is 4, and 32 divides the number of rows. The loop is as short
// as it can be: a longer one is slower to fetch than to run.
void multiply(uint expert, uint rows, uint width, uint from[TILE]) {
	uint lane = gl_LocalInvocationID.x, blocks = width / 32, fours = (blocks + 3) / 4;
	uint scales_at = (expert * (rows / (ROWS * EIGHT)) + gl_WorkGroupID.y) * fours * EIGHT + lane, codes_at[ROWS];
	[[unroll]] for (uint r = 0; r < ROWS; r++) codes_at[r] = expert * rows * blocks + tile_at(r, rows, blocks);
	[[unroll]] for (uint i = 0; i < TILE * ROWS; i++) sum[i] = 0;
	make_table();
	[[dont_unroll]] for (uint four = 0; four < fours; four++) {
		uvec4 scale = scales(scales_at + four * EIGHT);
		[[dont_unroll]] for (uint b = four * 4; b < min(four * 4 + 4, blocks); b++) {
			vec4 x[TILE];
			uvec4 q[ROWS];
			[[unroll]] for (uint t = 0; t < TILE; t++) x[t] = uintBitsToFloat(src(from[t] * (width / 4) + b * 8 + lane));
			[[unroll]] for (uint r = 0; r < ROWS; r++) q[r] = codes(codes_at[r] + b * EIGHT);

			float part[TILE * ROWS];
			[[unroll]] for (uint i = 0; i < TILE * ROWS; i++) part[i] = 0;
			[[unroll]] for (uint i = 0; i < 4; i++) {
				[[unroll]] for (uint r = 0; r < ROWS; r++) {
					vec4 first, second;
					e2m1_word(q[r][i], first, second);
					[[unroll]] for (uint t = 0; t < TILE; t++)
						part[t * ROWS + r] += dot(subgroupShuffle(x[t], 2 * i), first) + dot(subgroupShuffle(x[t], 2 * i + 1), second);
				}
			}
			uint word = scale[b % 4];
			[[unroll]] for (uint t = 0; t < TILE; t++) {
				[[unroll]] for (uint r = 0; r < ROWS; r++) {
					sum[t * ROWS + r] += part[t * ROWS + r] * e8m0(word, r);
				}
			}
		}
	}
}
#else
// multiply sets sum to this unit's rows of the window's expert, times the rows of
// src that from names. ROWS divides 32, and 32 divides the number of rows.
void multiply(uint expert, uint rows, uint width, uint from[TILE]) {
	uint blocks = width / 32;
	[[unroll]] for (uint i = 0; i < TILE * ROWS; i++) sum[i] = 0;
	[[dont_unroll]] for (uint b = LANE; b < blocks; b += LANES) {
		uvec4 q[ROWS];
		float scale[ROWS];
		uint four;
		[[unroll]] for (uint r = 0; r < ROWS; r++) {
			uint row = expert * rows + ROW(r);
			if (r % 4 == 0) four = scales[row / 4 * blocks + b] >> row % 4 * 8;
			q[r] = codes(row * blocks + b);
			scale[r] = e8m0_halved(four >> r % 4 * 8 & 255u);
		}
#ifdef DOT
		[[unroll]] for (uint t = 0; t < TILE; t++) {
			int x[8];
			float step = quantise(from[t] * (width / 4) + b * 8, x);
			[[unroll]] for (uint r = 0; r < ROWS; r++) {
				int total = 0;
				[[unroll]] for (uint i = 0; i < 4; i++) {
					total += dot_i8x4(x[2 * i], e2m1_bytes(q[r][i]), 0);
					total += dot_i8x4(x[2 * i + 1], e2m1_bytes(q[r][i] >> 16), 0);
				}
				sum[t * ROWS + r] += float(total) * step * scale[r];
			}
		}
#else
		[[unroll]] for (uint i = 0; i < 4; i++) {
			REAL4 w[2 * ROWS];
			[[unroll]] for (uint r = 0; r < ROWS; r++) {
				vec4 first, second;
				e2m1_word(q[r][i], first, second);
				w[2 * r] = REAL4(first * BEFORE(scale[r]));
				w[2 * r + 1] = REAL4(second * BEFORE(scale[r]));
			}
			[[unroll]] for (uint t = 0; t < TILE; t++) {
				uint at = from[t] * (width / 4) + b * 8 + i * 2;
				REAL4 x = REAL4(uintBitsToFloat(src(at))), y = REAL4(uintBitsToFloat(src(at + 1)));
				[[unroll]] for (uint r = 0; r < ROWS; r++)
					sum[t * ROWS + r] += float(dot(x, w[2 * r]) + dot(y, w[2 * r + 1])) * AFTER(scale[r]);
			}
		}
#endif
	}
	[[unroll]] for (uint i = 0; i < TILE * ROWS; i++) sum[i] = ADDED_UP(sum[i]);
}
#endif
