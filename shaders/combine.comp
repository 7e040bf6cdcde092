// Adds the experts' outputs to the residual stream:
// dst[t] += sum_j mix[t][j] * src[slot_of[t][j]]. One invocation serves four
// columns of a token.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(binding = 0) readonly buffer Src { vec4 src[]; };
layout(binding = 1) readonly buffer Slots { uint slot_of[]; };
layout(binding = 2) readonly buffer Mix { float mix_[]; };
layout(binding = 3) buffer Dst { vec4 dst[]; };

layout(push_constant) uniform Push {
	uint width; // numbers per row, a multiple of 4
	uint top;
};

void main() {
	uint n = width / 4, c = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
	if (c >= n) return;
	vec4 sum = dst[t * n + c];
	for (uint j = 0; j < top; j++) sum += mix_[t * top + j] * src[slot_of[t * top + j] * n + c];
	dst[t * n + c] = sum;
}
