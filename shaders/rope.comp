// RoPE and KV append. qkv holds, token by token, all query heads, all key heads
// and all value heads of 64. Queries and keys are rotated in place, in the
// half-split style: pairs are (i, i+32). Rotated keys and values go into the
// cache at the tokens' positions.
//
// The tables come from the host, computed in double precision; they hold for
// each token 32 cosines, then 32 sines, YaRN's concentration included. One
// invocation serves one pair of one head.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(binding = 0) readonly buffer Batch { uint position; };
layout(binding = 1) readonly buffer Tables { float tables[]; };
layout(binding = 2) buffer QKV { float qkv[]; };
layout(binding = 3) writeonly buffer Keys { float keys[]; };     // [kv head][position][64]
layout(binding = 4) writeonly buffer Values { float values[]; }; // [kv head][position][64]

layout(push_constant) uniform Push {
	uint heads;    // query heads
	uint kv_heads;
	uint capacity; // positions in the cache
};

void main() {
	uint t = gl_WorkGroupID.y, head = gl_GlobalInvocationID.x / 32, i = gl_GlobalInvocationID.x % 32;
	if (head >= heads + 2 * kv_heads) return;
	uint at = (t * (heads + 2 * kv_heads) + head) * 64 + i;
	float x = qkv[at], y = qkv[at + 32];
	if (head < heads + kv_heads) {
		float c = tables[t * 64 + i], s = tables[t * 64 + 32 + i], z = x;
		x = x * c - y * s;
		y = y * c + z * s;
		qkv[at] = x;
		qkv[at + 32] = y;
	}
	if (head < heads) return;
	uint kv = (head - heads) % kv_heads;
	uint to = (kv * capacity + position + t) * 64 + i;
	if (head < heads + kv_heads) {
		keys[to] = x;
		keys[to + 32] = y;
	} else {
		values[to] = x;
		values[to + 32] = y;
	}
}
