// MXFP4: 32 numbers of 4 bits (E2M1) and one power of two (E8M0). Codes are
// decoded by arithmetic: a table in an array or in shared memory is many times
// slower on software drivers.

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

// Half of 2^(scale-127), to undo the doubling. It is built in two factors
// because the smallest scales are no normal floats.
float e8m0_halved(uint scale) {
	return uintBitsToFloat(max(scale, 1u) << 23) * (scale == 0u ? 0.25 : 0.5);
}
