// What the two matrices of an expert share on matrix units: products with MXFP4
// weights [expert][row][block of 32], as experts.glsl has them. A tile of slots is
// TOKENS of them.
#include "matrix.glsl"
#include "mxfp4.glsl"

layout(binding = 0) readonly buffer Src { vec4 src[]; };
layout(binding = 1) readonly buffer Codes { uvec4 codes[]; };
layout(binding = 2) readonly buffer Scales { uint scales[]; }; // four rows to a word
layout(binding = 3) readonly buffer Bias { float bias[]; };    // [expert][row], of all experts

// Weights are multiplied by 2^9 and sums by 2^-9: so f16 holds blocks with scales
// of 2^-32 to 2^4 as they are, where it would not hold scales under 2^-23.
#ifdef TILED
const uint SHIFT = 0;
const float UNSHIFT = 1;
#else
const uint SHIFT = 9;
const float UNSHIFT = 0.001953125;
#endif

// bring_codes brings a block of each row of the window's expert.
void bring_codes(uint expert, uint row, uint rows, uint width, uint k) {
	const uint WORDS = STEP / 8;
	for (uint i = THREAD; i < OUTPUTS * WORDS; i += THREADS) {
		uint r = i / WORDS, c = i % WORDS;
		vec4 a = vec4(0), b = vec4(0);
		if (row + r < rows) {
			uint at = expert * rows + row + r, blocks = width / 32, block = k / 32;
			float scale = e8m0_halved(min((scales[at / 4 * blocks + block] >> at % 4 * 8 & 255u) + SHIFT, 254u));
			e2m1_word(codes[at * blocks + block][c], a, b);
			a *= scale;
			b *= scale;
		}
		left[r * PITCH + 2 * c] = rounded(a);
		left[r * PITCH + 2 * c + 1] = rounded(b);
	}
}
