// Embedding: dst[t] = table[ids[t]], bf16 widened to f32.
//
// The table may be bound in windows of rows; a dispatch serves the tokens whose
// row lies in its window. One invocation copies eight numbers.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(binding = 0) readonly buffer IDs { uint ids[]; };
layout(binding = 1) readonly buffer Table { uvec4 table[]; };
layout(binding = 2) writeonly buffer Dst { vec4 dst[]; };

layout(push_constant) uniform Push {
	uint tokens;
	uint width; // numbers per row, a multiple of 8
	uint first; // row of the table that the window begins with
	uint rows;  // rows in the window
};

void main() {
	uint groups = width / 8;
	uint t = gl_WorkGroupID.y, g = gl_GlobalInvocationID.x;
	if (t >= tokens || g >= groups) return;
	uint row = ids[t] - first;
	if (row >= rows) return; // also where ids[t] < first: the difference wraps
	uvec4 w = table[row * groups + g];
	dst[(t * groups + g) * 2] = bf16_first(w);
	dst[(t * groups + g) * 2 + 1] = bf16_second(w);
}
