// What the choice of a token needs: rows of logits, which ids may be chosen, how,
// and the noise that is added. See package inference/internal/sample, whose
// arithmetic in f64 this is in f32; what a row's summary holds stands there.

const uint SLICES = 128;
const uint ABOVE = 256;
const uint SUMMARY = 4 + 2 * SLICES + 2 * ABOVE; // words a row: count and three unused, tops or leaders, candidates
const uint NO_ID = 0xffffffffu;
const float LOWEST = -3.4028234e38; // in the place of negative infinity

struct How {
	float scale;  // 1 / temperature
	uint noisy;   // 0 takes the highest logit
	uint key;     // of the noise
	uint counter;
	uint mask;    // number of the mask that permits
	uint bound;   // which of the slices' tops bounds the candidates, from 1; 0 where none are needed
	uint unused1, unused2;
};

layout(binding = 0) readonly buffer Logits { uint logits[]; };
layout(binding = 1) readonly buffer Masks { uint masks[]; };
layout(binding = 2) readonly buffer Hows { How hows[]; };
layout(binding = 3) buffer Summary { uint summary[]; };

layout(push_constant) uniform Push {
	uint vocab; // ids, and logits a row
	uint words; // of a mask
};

bool permitted(uint mask, uint id) { return (masks[mask * words + id / 32] >> (id % 32) & 1u) == 1u; }

// A logit by its bits.
float number(uint bits) { return bits == 0xff800000u ? LOWEST : uintBitsToFloat(bits); }
bool broken(uint bits) { return (bits & 0x7fffffffu) > 0x7f800000u || bits == 0x7f800000u; }

// Philox2x32-10.
uvec2 philox(uint x, uint y, uint key) {
	for (uint i = 0; i < 10; i++) {
		uint high, low;
		umulExtended(x, 0xd256d193u, high, low);
		x = high ^ key ^ y;
		y = low;
		key += 0x9e3779b9u;
	}
	return uvec2(x, y);
}

// 64 bits as a number between 0 and 1; next to 0 it keeps its precision.
float unit(uvec2 v) { return (float(v.x) + (float(v.y) + 0.5) * 2.3283064e-10) * 2.3283064e-10; }

// -ln(-ln(u)) of a u that the bits spread evenly. Where u is near 1, -ln(u) is
// 2 artanh(v / (2 - v)) with v = 1 - u, as a series.
float gumbel(uvec2 bits) {
	float e;
	if (bits.x < 0x80000000u) {
		float v = unit(bits), z = v / (2 - v), s = z * z;
		e = 2 * z * (1 + s * (1.0 / 3 + s * (1.0 / 5 + s * (1.0 / 7 + s * (1.0 / 9 + s * (1.0 / 11 + s / 13))))));
	} else {
		e = -log(unit(~bits));
	}
	return -log(e);
}
