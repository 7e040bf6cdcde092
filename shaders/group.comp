// Sorts the batch's choices by expert, so that an expert's weights are loaded
// once for a tile of tokens. A slot is one choice: token i / top, rank i % top.
// Each expert's slots fill whole tiles, in order of choice; what is left over in
// its last tile is empty. One workgroup.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(constant_id = 1) const uint TILE = 8;
layout(constant_id = 2) const uint EXPERTS = 32;

layout(binding = 0) readonly buffer Choice { uint choice[]; };
layout(binding = 1) writeonly buffer Tiles { uint tile_expert[]; }; // EMPTY after the last
layout(binding = 2) writeonly buffer Tokens { uint slot_token[]; }; // EMPTY where there is none
layout(binding = 3) writeonly buffer Slots { uint slot_of[]; };     // of each choice

layout(push_constant) uniform Push {
	uint choices; // tokens * top
	uint top;
	uint tiles; // to fill
};

const uint EMPTY = 0xffffffffu;

shared uint count[EXPERTS]; // in tiles

void main() {
	uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
	for (uint e = lane; e < EXPERTS; e += lanes) {
		uint n = 0;
		for (uint i = 0; i < choices; i++) n += choice[i] == e ? 1u : 0u;
		count[e] = (n + TILE - 1) / TILE;
	}
	barrier();
	uint used = 0;
	for (uint e = 0; e < EXPERTS; e++) used += count[e];
	for (uint t = used + lane; t < tiles; t += lanes) tile_expert[t] = EMPTY;
	for (uint e = lane; e < EXPERTS; e += lanes) {
		uint tile = 0;
		for (uint f = 0; f < e; f++) tile += count[f];
		for (uint t = 0; t < count[e]; t++) tile_expert[tile + t] = e;
		uint slot = tile * TILE;
		for (uint i = 0; i < choices; i++) {
			if (choice[i] == e) {
				slot_token[slot] = i / top;
				slot_of[i] = slot;
				slot++;
			}
		}
		for (; slot < (tile + count[e]) * TILE; slot++) slot_token[slot] = EMPTY;
	}
}
