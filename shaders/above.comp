// Lists the candidates of rows where a filter needs them: the permitted ids whose
// logit is at least the bound-th highest of the slices' tops, which draw.comp
// left. A workgroup does one slice (x) of a row (y). The list ends where it is
// full, the count goes on; the order is any.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"
#include "draw.glsl"

shared float tops[SLICES];
shared float bound;

void main() {
	uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x, slice = gl_WorkGroupID.x, row = gl_WorkGroupID.y;
	How how = hows[row];
	if (how.bound == 0) return;
	uint at = row * SUMMARY;
	for (uint i = lane; i < SLICES; i += lanes) tops[i] = uintBitsToFloat(summary[at + 4 + 2 * i]);
	barrier();
	for (uint i = lane; i < SLICES; i += lanes) {
		uint higher = 0;
		for (uint j = 0; j < SLICES; j++)
			if (tops[j] > tops[i] || tops[j] == tops[i] && j < i) higher++;
		if (higher == how.bound - 1) bound = tops[i];
	}
	barrier();
	if (tops[slice] < bound) return;
	for (uint id = slice * lanes + lane; id < vocab; id += SLICES * lanes) {
		uint bits = logits[row * vocab + id];
		if (number(bits) >= bound && permitted(how.mask, id)) {
			uint i = atomicAdd(summary[at], 1u);
			if (i < ABOVE) {
				summary[at + 4 + 2 * SLICES + 2 * i] = id;
				summary[at + 5 + 2 * SLICES + 2 * i] = bits;
			}
		}
	}
}
