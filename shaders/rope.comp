// RoPE and KV append, of the tokens that several sequences have in a pass. qkv holds, row
// by row, all query heads, all key heads and all value heads of 64. Queries and keys are
// rotated in place, in the half-split style: pairs are (i, i+32). Rotated keys
// and values go into the caches, position p into slot p modulo slots; in f16 what
// is too large becomes the largest finite number.
//
// The tables come from the host, computed in double precision; they hold for
// each row 32 cosines, then 32 sines, YaRN's concentration included. One
// invocation serves two neighbouring pairs of one head.
//
// Each of up to four shares is a sequence with its cache, or a window of KV heads of one.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(constant_id = 1) const uint HALF = 0; // 1 where the caches are in f16
layout(constant_id = 2) const uint SHARES = 1;

layout(binding = 0) readonly buffer Batch { uint positions[]; }; // of each part's first token
layout(binding = 1) readonly buffer Tables { vec2 tables[]; };
layout(binding = 2) buffer QKV { vec2 qkv[]; };

// The keys and values of a share, [kv head][slot][64] each, and how two pairs come into
// place there.
#define SHARE(n, at) \
	layout(binding = at) writeonly buffer Keys##n { vec2 keys##n[]; }; \
	layout(binding = at) writeonly buffer HalfKeys##n { uint half_keys##n[]; }; \
	layout(binding = at + 1) writeonly buffer Values##n { vec2 values##n[]; }; \
	layout(binding = at + 1) writeonly buffer HalfValues##n { uint half_values##n[]; }; \
	void append##n(bool value, uint to, vec2 x, vec2 y) { \
		if (HALF == 1 && value) { half_values##n[to] = half_pair(x); half_values##n[to + 16] = half_pair(y); } \
		else if (HALF == 1) { half_keys##n[to] = half_pair(x); half_keys##n[to + 16] = half_pair(y); } \
		else if (value) { values##n[to] = x; values##n[to + 16] = y; } \
		else { keys##n[to] = x; keys##n[to + 16] = y; } \
	}

uint half_pair(vec2 v) { return packHalf2x16(clamp(v, -65504, 65504)); }

SHARE(0, 3)
SHARE(1, 5)
SHARE(2, 7)
SHARE(3, 9)

layout(push_constant) uniform Push {
	uvec4 part;
	uvec4 row;      // that the part begins with
	uvec4 tokens;   // of the part
	uvec4 slots;    // of the cache
	uvec4 kv_first; // KV head that the window begins with: the first window's share rotates the queries
	uvec4 kv_count; // KV heads in the window
	uint heads;     // query heads of the model
	uint kv_heads;
};

void main() {
	uint token = gl_WorkGroupID.y, n = 0, h = gl_GlobalInvocationID.x / 16, i = gl_GlobalInvocationID.x % 16;
	[[unroll]] for (uint s = 0; s + 1 < SHARES; s++) {
		if (n == s && token >= tokens[s]) {
			token -= tokens[s];
			n = s + 1;
		}
	}
	uint queries = kv_first[n] == 0 ? heads : 0, t = row[n] + token;
	if (h >= queries + 2 * kv_count[n]) return;
	bool value = h >= queries + kv_count[n], query = h < queries;
	uint kv = (h - queries) % kv_count[n];
	uint column = query ? h : heads + kv_first[n] + kv + (value ? kv_heads : 0);
	uint at = (t * (heads + 2 * kv_heads) + column) * 32 + i;
	vec2 x = qkv[at], y = qkv[at + 16];
	if (!value) {
		vec2 c = tables[t * 32 + i], s = tables[t * 32 + 16 + i], z = x;
		x = x * c - y * s;
		y = y * c + z * s;
		qkv[at] = x;
		qkv[at + 16] = y;
	}
	if (query) return;
	uint to = (kv * slots[n] + (positions[part[n]] + token) % slots[n]) * 32 + i;
	if (n == 0) append0(value, to, x, y);
	if (SHARES > 1 && n == 1) append1(value, to, x, y);
	if (SHARES > 2 && n == 2) append2(value, to, x, y);
	if (SHARES > 3 && n == 3) append3(value, to, x, y);
}
