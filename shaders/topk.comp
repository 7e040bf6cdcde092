// Router: the TopK largest logits of each token, the lower index first among
// equals, and the softmax over them. One invocation serves one token.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(binding = 0) readonly buffer Logits { float logits[]; };
layout(binding = 1) buffer Choice { uint choice[]; };
layout(binding = 2) buffer Mix { float mix_[]; };

layout(push_constant) uniform Push {
	uint tokens;
	uint experts;
	uint top; // experts per token
};

void main() {
	uint t = gl_GlobalInvocationID.x;
	if (t >= tokens) return;
	uint at = t * top;
	// The j-th is the first largest of those that come after the one before,
	// by value descending and index ascending.
	float before = 0, highest = 0, total = 0;
	uint before_index = 0;
	for (uint j = 0; j < top; j++) {
		float best = 0;
		uint index = experts;
		for (uint e = 0; e < experts; e++) {
			float v = logits[t * experts + e];
			bool after = j == 0 || v < before || v == before && e > before_index;
			if (after && (index == experts || v > best)) {
				best = v;
				index = e;
			}
		}
		index = min(index, experts - 1); // where a logit is not a number
		if (j == 0) highest = best;
		float w = exp(best - highest);
		choice[at + j] = index;
		mix_[at + j] = w;
		total += w;
		before = best;
		before_index = index;
	}
	for (uint j = 0; j < top; j++) mix_[at + j] /= total;
}
