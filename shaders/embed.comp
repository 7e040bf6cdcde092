// Embedding: dst[t] = table[ids[t]], widened to f32. The table is in any format
// of dense.glsl.
//
// The table may be bound in windows of rows; a dispatch serves the tokens whose
// row lies in its window. One invocation copies eight numbers.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(constant_id = 1) const uint FORMAT = 0;
#include "dense.glsl"

layout(binding = 0) readonly buffer IDs { uint ids[]; };
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
	vec4 first, second;
	eight(row * row_vectors(width), width, g, first, second);
	dst[(t * groups + g) * 2] = first;
	dst[(t * groups + g) * 2 + 1] = second;
}
