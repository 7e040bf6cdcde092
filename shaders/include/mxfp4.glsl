// MXFP4: 32 numbers of 4 bits (E2M1) and one power of two (E8M0). Codes are
// decoded by arithmetic: a table in an array or in shared memory is many times
// slower on software drivers.

#ifdef TEXEL
// For software drivers, which are short of arithmetic, the upload renumbers codes and
// arranges their bits (pairs in gpu/pack.go) so that two are decoded at a time, in the
// halves of a word. Word i of a block has elements 8i to 8i+7, the even ones in its low
// half: their signs are bits 15, 12, 9 and 14, their magnitudes bits 8-6, 5-3, 2-0 and
// 13, 11, 10, of which 0 to 7 stand for 0 4 6 2 3 1 1.5 0.5.
//
// Added to 127.5 times 2^7, every magnitude but 0 carries into the highest bit of a bf16
// exponent; after some bits are flipped 0.5 is 2^65, 4 is 2^68, and 0 is 2^-66.4, 2^-132
// of 1, which is lost beside any other number.
const float DOUBLED = 1.0 / 36893488147419103232.0; // 2^-65: what comes of e2m1_word, to twice the values

uint e2m1_pair(uint code) { return (code + 0x3fc03fc0u) ^ 0x21802180u; }

void e2m1_word(uint word, out vec4 first, out vec4 second) {
	uint a = e2m1_pair(word & 0x81c081c0u), b = e2m1_pair(word << 3 & 0x81c081c0u), c = e2m1_pair(word << 6 & 0x81c081c0u);
	uint d = e2m1_pair(word >> 5 & 0x01000100u | word >> 4 & 0x00c000c0u | word << 1 & 0x80008000u);
	first = uintBitsToFloat(uvec4(a << 16, a & 0xffff0000u, b << 16, b & 0xffff0000u));
	second = uintBitsToFloat(uvec4(c << 16, c & 0xffff0000u, d << 16, d & 0xffff0000u));
}
#else
// Twice the value of a code: the magnitudes 0 1 2 3 4 6 8 12 are the digits of
// a word, bit 3 of the code is the sign.
float e2m1_doubled(uint code) {
	float magnitude = float((0xC8643210u >> ((code & 7u) << 2)) & 15u);
	return uintBitsToFloat(floatBitsToUint(magnitude) | (code & 8u) << 28);
}

vec4 e2m1_low(uint word) {
	return vec4(e2m1_doubled(word), e2m1_doubled(word >> 4), e2m1_doubled(word >> 8), e2m1_doubled(word >> 12));
}

// Elements 8i to 8i+7 of a block are word i of its codes: byte j of a block has
// element 2j in the low nibble and 2j+1 in the high one.
void e2m1_word(uint word, out vec4 first, out vec4 second) {
	first = e2m1_low(word);
	second = e2m1_low(word >> 16);
}
#endif

// Half of 2^(scale-127), to undo the doubling. It is built in two factors
// because the smallest scales are no normal floats.
float e8m0_halved(uint scale) {
	return uintBitsToFloat(max(scale, 1u) << 23) * (scale == 0u ? 0.25 : 0.5);
}
