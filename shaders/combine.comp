// Adds the experts' outputs to the residual stream:
// dst[t] += sum_j mix[t][j] * src[slot of choice j]. One invocation serves four
// columns of a token.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(binding = 0) readonly buffer Src { vec4 src[]; };
layout(binding = 1) readonly buffer Slots { uint slot_of[]; }; // of each choice; not read where they are the slots
layout(binding = 2) readonly buffer Mix { float mix_[]; };
layout(binding = 3) buffer Dst { vec4 dst[]; };

layout(push_constant) uniform Push {
	uint width; // numbers per row, a multiple of 4
	uint top;
	uint grouped; // 0 where choice i lies in slot i
};

void main() {
	uint n = width / 4, c = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
	if (c >= n) return;
	vec4 sum = vec4(0);
	for (uint i = t * top; i < (t + 1) * top; i++) sum += mix_[i] * src[(grouped == 1 ? slot_of[i] : i) * n + c];
	dst[t * n + c] += sum;
}
