// RoPE and KV append, of one sequence's tokens in a pass. qkv holds, row by row,
// all query heads, all key heads and all value heads of 64. Queries and keys are
// rotated in place, in the half-split style: pairs are (i, i+32). Rotated keys
// and values go into the cache, position p into slot p modulo slots; in f16 what
// is too large becomes the largest finite number.
//
// The tables come from the host, computed in double precision; they hold for
// each row 32 cosines, then 32 sines, YaRN's concentration included. One
// invocation serves two neighbouring pairs of one head. The cache may be bound
// in windows of KV heads.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(constant_id = 1) const uint HALF = 0; // 1 where the cache is in f16

layout(binding = 0) readonly buffer Batch { uint positions[]; }; // of each part's first token
layout(binding = 1) readonly buffer Tables { vec2 tables[]; };
layout(binding = 2) buffer QKV { vec2 qkv[]; };
layout(binding = 3) writeonly buffer Keys { vec2 keys[]; }; // [kv head][slot][64]
layout(binding = 3) writeonly buffer HalfKeys { uint half_keys[]; };
layout(binding = 4) writeonly buffer Values { vec2 values[]; }; // [kv head][slot][64]
layout(binding = 4) writeonly buffer HalfValues { uint half_values[]; };

layout(push_constant) uniform Push {
	uint queries;  // query heads to rotate: all, or none where another window's dispatch does
	uint heads;    // query heads of the model
	uint kv_heads; // of the model
	uint kv_first; // KV head that the window begins with
	uint kv_count; // KV heads in the window
	uint slots;    // of the cache
	uint part;
	uint row; // that the part begins with
};

uint half_pair(vec2 v) { return packHalf2x16(clamp(v, -65504, 65504)); }

void main() {
	uint token = gl_WorkGroupID.y, t = row + token, h = gl_GlobalInvocationID.x / 16, i = gl_GlobalInvocationID.x % 16;
	if (h >= queries + 2 * kv_count) return;
	bool value = h >= queries + kv_count, query = h < queries;
	uint kv = (h - queries) % kv_count;
	uint column = query ? h : heads + kv_first + kv + (value ? kv_heads : 0);
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
	uint to = (kv * slots + (positions[part] + token) % slots) * 32 + i;
	if (value && HALF == 1) {
		half_values[to] = half_pair(x);
		half_values[to + 16] = half_pair(y);
	} else if (value) {
		values[to] = x;
		values[to + 16] = y;
	} else if (HALF == 1) {
		half_keys[to] = half_pair(x);
		half_keys[to + 16] = half_pair(y);
	} else {
		keys[to] = x;
		keys[to + 16] = y;
	}
}
