// Copies the rows whose logits are wanted: dst[i] = src[rows[i]]. One invocation
// copies four numbers.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(binding = 0) readonly buffer Rows { uint rows[]; };
layout(binding = 1) readonly buffer Src { vec4 src[]; };
layout(binding = 2) writeonly buffer Dst { vec4 dst[]; };

layout(push_constant) uniform Push {
	uint width; // numbers per row, a multiple of 4
};

void main() {
	uint n = width / 4, c = gl_GlobalInvocationID.x, i = gl_WorkGroupID.y;
	if (c < n) dst[i * n + c] = src[rows[i] * n + c];
}
