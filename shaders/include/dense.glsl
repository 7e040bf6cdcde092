// A dense matrix, binding 1, in one of four formats, which the kernel's constant
// FORMAT names. All of them hold the file's numbers
// exactly; what they become here is exact too.
//
// A row is whole vectors of 16 bytes. In Q8_0 it is the signed bytes of all its
// blocks, then their scales in f16, zeros up to a whole vector: the blocks of 34
// bytes of the file, taken apart. Widths are multiples of 8, in Q8_0 of 32.
const uint BF16 = 0, F16 = 1, F32 = 2, Q8_0 = 3;

QUAD_BUFFER(1, weights)

// Vectors per row.
uint row_vectors(uint width) {
	if (FORMAT == F32) return width / 4;
	if (FORMAT == Q8_0) return width / 16 + (width / 32 + 7) / 8;
	return width / 8;
}

// By integers, so that subnormals hold on every device.
float f16(uint h) {
	uint magnitude = h & 0x7fffu, sign = (h & 0x8000u) << 16;
	if (magnitude < 0x400u) return uintBitsToFloat(sign | floatBitsToUint(float(magnitude) * 5.9604644775390625e-8));
	return uintBitsToFloat(sign | ((magnitude << 13) + (magnitude < 0x7c00u ? 0x38000000u : 0x70000000u)));
}

vec2 f16_pair(uint word) { return vec2(f16(word & 0xffffu), f16(word >> 16)); }

vec4 q8_word(uint word) {
	int w = int(word);
	return vec4(bitfieldExtract(w, 0, 8), bitfieldExtract(w, 8, 8), bitfieldExtract(w, 16, 8), w >> 24);
}

// Numbers 8k to 8k+7 of the row that begins at vector row.
void eight(uint row, uint width, uint k, out vec4 first, out vec4 second) {
	if (FORMAT == F32) {
		first = uintBitsToFloat(weights(row + 2 * k));
		second = uintBitsToFloat(weights(row + 2 * k + 1));
	} else if (FORMAT == F16) {
		uvec4 w = weights(row + k);
		first = vec4(f16_pair(w.x), f16_pair(w.y));
		second = vec4(f16_pair(w.z), f16_pair(w.w));
	} else if (FORMAT == Q8_0) {
		uvec4 w = weights(row + k / 2);
		uint block = k / 4;
		uint halves = weights(row + width / 16 + block / 8)[block / 2 % 4];
		float scale = f16(block % 2 == 0 ? halves & 0xffffu : halves >> 16);
		bool low = k % 2 == 0;
		first = q8_word(low ? w.x : w.z) * scale;
		second = q8_word(low ? w.y : w.w) * scale;
	} else {
		uvec4 w = weights(row + k);
		first = bf16_first(w);
		second = bf16_second(w);
	}
}
