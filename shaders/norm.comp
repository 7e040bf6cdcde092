// RMSNorm: dst = src / sqrt(mean(src^2) + eps) * gain, one workgroup per row.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(binding = 0) readonly buffer Src { vec4 src[]; };
layout(binding = 1) readonly buffer Gain { vec4 gain[]; };
layout(binding = 2) writeonly buffer Dst { vec4 dst[]; };

layout(push_constant) uniform Push {
	uint width; // numbers per row, a multiple of 4
	float eps;
};

shared float part[256];

void main() {
	uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
	uint n = width / 4, base = gl_WorkGroupID.x * n;
	float sum = 0;
	for (uint i = lane; i < n; i += lanes) {
		vec4 v = src[base + i];
		sum += dot(v, v);
	}
	part[lane] = sum;
	barrier();
	sum = 0;
	for (uint i = 0; i < lanes; i++) sum += part[i];
	float scale = 1 / sqrt(sum / float(width) + eps);
	for (uint i = lane; i < n; i += lanes)
		dst[base + i] = src[base + i] * scale * gain[i];
}
