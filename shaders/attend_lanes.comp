// Attention as attend.comp computes it, shared out otherwise: for software drivers,
// whose subgroup is one vector of the processor.
//
// A workgroup is a subgroup and serves one token and HEADS query heads of a KV head.
// Its invocations take keys by turns and each has a softmax of its own over them, so
// that nothing passes between them until the end; then their sums are added up. The
// queries are loaded first of all.
//
// Blocks begin at positions that are multiples of EIGHT * SHARE, which divides 64:
// so a query's sums do not depend on the tokens beside it, and no block crosses the
// end of the cache.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#include "base.glsl"

layout(constant_id = 1) const uint SHARE = 2; // keys of an invocation in a block
layout(constant_id = 2) const uint GROUP = 1;
layout(constant_id = 3) const uint HEADS = 1; // divides GROUP
layout(constant_id = 4) const uint HALF = 0;  // 1 where the cache is in f16

layout(binding = 0) readonly buffer Batch { uint positions[]; }; // of each part's first token
QUAD_BUFFER(1, qkv)
layout(binding = 2) readonly buffer Sinks { float sinks[]; };
QUAD_BUFFER(3, keys)   // [kv head][slot][64]
QUAD_BUFFER(4, values) // the same
layout(binding = 5) buffer Ctx { vec4 ctx[]; };
layout(binding = 6) buffer Running { vec2 running[]; }; // highest and total of each query, between segments

layout(push_constant) uniform Push {
	uint tokens;   // of the part
	uint kv_heads; // of the model
	uint kv_first; // KV head that the window of the cache begins with
	uint slots;    // of the cache: position p lies in slot p modulo slots
	uint window;   // keys that a query sees, itself included; 0 is all
	uint part;
	uint row; // that the part begins with
	uint segment_begin; // positions of keys that this dispatch walks over
	uint segment_end;
	uint last_segment; // 1 where none comes after
};

const float HIDDEN = -1e30; // score of a key that is not visible

// Eight numbers of a slot: 8i to 8i+7.
void eight(uvec4 half_vector, uvec4 first, uvec4 second, out vec4 a, out vec4 b) {
	if (HALF == 1) {
		a = vec4(unpackHalf2x16(half_vector.x), unpackHalf2x16(half_vector.y));
		b = vec4(unpackHalf2x16(half_vector.z), unpackHalf2x16(half_vector.w));
	} else {
		a = uintBitsToFloat(first);
		b = uintBitsToFloat(second);
	}
}

void key_at(uint slot, uint i, out vec4 a, out vec4 b) {
	if (HALF == 1) eight(keys(slot * 8 + i), uvec4(0), uvec4(0), a, b);
	else eight(uvec4(0), keys(slot * 16 + 2 * i), keys(slot * 16 + 2 * i + 1), a, b);
}

void value_at(uint slot, uint i, out vec4 a, out vec4 b) {
	if (HALF == 1) eight(values(slot * 8 + i), uvec4(0), uvec4(0), a, b);
	else eight(uvec4(0), values(slot * 16 + 2 * i), values(slot * 16 + 2 * i + 1), a, b);
}

void main() {
	uint lane = gl_LocalInvocationID.x;
	uint token = row + gl_WorkGroupID.y, part_heads = GROUP / HEADS;
	uint kv = kv_first + gl_WorkGroupID.x / part_heads, head = kv * GROUP + gl_WorkGroupID.x % part_heads * HEADS;
	uint out_at = token * kv_heads * GROUP + head;
	vec4 q[HEADS * 16];
	[[unroll]] for (uint i = 0; i < HEADS * 16; i++)
		q[i] = uintBitsToFloat(qkv((token * (GROUP + 2) * kv_heads + head) * 16 + i)) * 0.125;

	float highest[HEADS], total[HEADS];
	vec4 sum[HEADS * 16];
	[[unroll]] for (uint h = 0; h < HEADS; h++) {
		highest[h] = sinks[head + h];
		if (segment_begin > 0) highest[h] = running[out_at + h].x;
		total[h] = 0;
	}
	[[unroll]] for (uint i = 0; i < HEADS * 16; i++) sum[i] = vec4(0);

	uint p = positions[part] + gl_WorkGroupID.y, end = min(p + 1, segment_end);
	uint begin = window > 0 && p + 1 > window ? (p + 1 - window) / 64 * 64 : 0;
	uint cache = gl_WorkGroupID.x / part_heads * slots;
	[[dont_unroll]] for (uint block = max(begin, segment_begin); block < end; block += EIGHT * SHARE) {
		uint at = cache + block % slots, slot[SHARE];
		float s[HEADS * SHARE];
		[[unroll]] for (uint i = 0; i < HEADS * SHARE; i++) s[i] = 0;
		[[unroll]] for (uint j = 0; j < SHARE; j++) {
			slot[j] = at + min(j * EIGHT + lane, p - block);
			[[unroll]] for (uint i = 0; i < 8; i++) {
				vec4 a, b;
				key_at(slot[j], i, a, b);
				[[unroll]] for (uint h = 0; h < HEADS; h++)
					s[h * SHARE + j] += dot(q[h * 16 + 2 * i], a) + dot(q[h * 16 + 2 * i + 1], b);
			}
		}
		float shrink[HEADS];
		[[unroll]] for (uint h = 0; h < HEADS; h++) {
			float top = highest[h];
			[[unroll]] for (uint j = 0; j < SHARE; j++) {
				uint key = block + j * EIGHT + lane;
				bool visible = key <= p && (window == 0 || p - key < window);
				s[h * SHARE + j] = visible ? s[h * SHARE + j] : HIDDEN;
				top = max(top, s[h * SHARE + j]);
			}
			shrink[h] = exp(highest[h] - top);
			total[h] *= shrink[h];
			[[unroll]] for (uint j = 0; j < SHARE; j++) {
				s[h * SHARE + j] = exp(s[h * SHARE + j] - top);
				total[h] += s[h * SHARE + j];
			}
			highest[h] = top;
		}
		[[unroll]] for (uint i = 0; i < 8; i++) {
			vec4 a[SHARE], b[SHARE];
			[[unroll]] for (uint j = 0; j < SHARE; j++) value_at(slot[j], i, a[j], b[j]);
			[[unroll]] for (uint h = 0; h < HEADS; h++) {
				vec4 x = sum[h * 16 + 2 * i] * shrink[h], y = sum[h * 16 + 2 * i + 1] * shrink[h];
				[[unroll]] for (uint j = 0; j < SHARE; j++) {
					x += s[h * SHARE + j] * a[j];
					y += s[h * SHARE + j] * b[j];
				}
				sum[h * 16 + 2 * i] = x;
				sum[h * 16 + 2 * i + 1] = y;
			}
		}
	}

	// What was there before comes in once: the sink, one more logit with no value,
	// or the segments before.
	[[unroll]] for (uint h = 0; h < HEADS; h++) {
		vec2 before = segment_begin > 0 ? running[out_at + h] : vec2(sinks[head + h], 1);
		float top = subgroupMax(highest[h]), mine = exp(highest[h] - top), earlier = exp(before.x - top);
		float all = subgroupAdd(total[h] * mine) + before.y * earlier;
		float scale = last_segment == 1 ? 1 / all : 1.0;
		[[unroll]] for (uint i = 0; i < 16; i++) {
			vec4 added = subgroupAdd(sum[h * 16 + i] * mine);
			if (segment_begin > 0) added += ctx[(out_at + h) * 16 + i] * earlier;
			if (lane == 0) ctx[(out_at + h) * 16 + i] = added * scale;
		}
		if (last_segment == 0 && lane == 0) running[out_at + h] = vec2(top, all);
	}
}
