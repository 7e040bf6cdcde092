// MXFP4: 32 numbers of 4 bits (E2M1) and one power of two (E8M0). Codes are
// decoded by arithmetic, or with TEXEL by shuffles: a table in an array or in shared
// memory is many times slower on software drivers.

#ifdef TEXEL
// For software drivers, which are short of arithmetic, the upload turns each code by a bit
// (turn in gpu/pack.go), so that its sign is the lowest. A word that is turned right by the
// codes before and by the sign has the sign on top and the magnitude in its lowest three
// bits: its place in a table, of which each invocation has an entry.
float magnitude;

void make_table() { magnitude = 0.5 * float(0xC8643210u >> 4 * gl_LocalInvocationID.x & 15u); }

// The place is taken modulo EIGHT, as the processor's instruction does: to cut it out would
// be one operation of four. A device's first test (agent device test) finds who does not.
float e2m1(uint word, uint i) {
	uint turned = word >> 4 * i + 1 | word << 31 - 4 * i;
	return uintBitsToFloat(turned & 0x80000000u | floatBitsToUint(subgroupShuffle(magnitude, turned)));
}

void e2m1_word(uint word, out vec4 first, out vec4 second) {
	first = vec4(e2m1(word, 0), e2m1(word, 1), e2m1(word, 2), e2m1(word, 3));
	second = vec4(e2m1(word, 4), e2m1(word, 5), e2m1(word, 6), e2m1(word, 7));
}

// What the scale in byte i of a word stands for, but for the smallest, 2^-127, which is
// no normal number: 0 instead.
float e8m0(uint word, uint i) { return uintBitsToFloat((i == 3 ? word >> 1 : word << 23 - 8 * i) & 0x7f800000u); }
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

// Half of 2^(scale-127), to undo the doubling. It is built in two factors
// because the smallest scales are no normal floats.
float e8m0_halved(uint scale) {
	return uintBitsToFloat(max(scale, 1u) << 23) * (scale == 0u ? 0.25 : 0.5);
}
#endif
