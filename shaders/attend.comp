// Attention with sinks, window and grouped queries, by online softmax
// (arXiv:2205.14135), so that the memory it needs does not grow with the
// context.
//
// A workgroup serves one KV head and QUERIES query vectors that share it: the
// GROUP query heads of QUERIES / GROUP tokens of one sequence. It walks over the
// visible keys in blocks of 64. In each block an invocation first computes the
// scores of SHARE keys, then the softmax of some of the queries, then sums up
// SHARE columns of the output. SHARE is 64 / invocations and a multiple of 4.
//
// Blocks begin at positions that are multiples of 64: so a query's sums do not
// depend on the tokens beside it, and since the cache has a multiple of 64 slots
// no block crosses its end.
//
// Keys may be walked in segments, a dispatch each, that hand on the sums and what
// they are relative to: lavapipe ends the loops of an invocation, silently, after
// 65,535 turns in all, and a watchdog may end a long dispatch.
//
// Or they are split, where many workgroups are wanted for few tokens: with SPLIT a
// workgroup walks over that many positions only, from a multiple of it on, and kernel
// merge folds what comes of them. The second dimension of the grid has the splits
// then, each with all groups of tokens.
//
// The sink is one more logit with no value. The running maximum starts with it
// and the running denominator with its weight, 1: so it counts once.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(constant_id = 1) const uint SHARE = 8;
layout(constant_id = 2) const uint GROUP = 1;
layout(constant_id = 3) const uint QUERIES = 8;
layout(constant_id = 4) const uint HALF = 0; // 1 where the cache is in f16
layout(constant_id = 5) const uint SPLIT = 0; // positions of a split, a multiple of 64; 0 where keys are not split

layout(binding = 0) readonly buffer Batch { uint positions[]; }; // of each part's first token
layout(binding = 1) readonly buffer QKV { vec4 qkv[]; };
layout(binding = 2) readonly buffer Sinks { float sinks[]; };
layout(binding = 3) readonly buffer Keys { vec4 keys[]; }; // [kv head][slot][64]
layout(binding = 3) readonly buffer HalfKeys { uvec2 half_keys[]; };
layout(binding = 4) readonly buffer Values { vec4 values[]; }; // [kv head][slot][64]
layout(binding = 4) readonly buffer HalfValues { uvec2 half_values[]; };
layout(binding = 5) buffer Ctx { vec4 ctx[]; }; // of splits: their sums, [token][split][head]
layout(binding = 6) buffer Running { vec2 running[]; }; // highest and total of each query, between segments, or of splits

layout(push_constant) uniform Push {
	uint tokens;   // of the part
	uint kv_heads; // of the model
	uint kv_first; // KV head that the window of the cache begins with
	uint slots;    // of the cache: position p lies in slot p modulo slots
	uint window;   // keys that a query sees, itself included; 0 is all
	uint part;
	uint row; // that the part begins with
	uint segment_begin; // positions of keys that this dispatch walks over
	uint segment_end; // of splits: where the first one's sums go
	uint last_segment; // 1 where none comes after
};

const uint COLUMNS = SHARE / 4; // vectors of the output that an invocation sums up
const float HIDDEN = -1e30;     // score of a key that is not visible

shared vec4 score[QUERIES * 16]; // of the block's 64 keys; then their weights
shared float highest[QUERIES];   // score so far
shared float total[QUERIES];     // of the weights so far, relative to highest
shared float decay[QUERIES];     // of what was summed up before this block

vec4 widen(uvec2 v) { return vec4(unpackHalf2x16(v.x), unpackHalf2x16(v.y)); }
vec4 key_at(uint i) { return HALF == 1 ? widen(half_keys[i]) : keys[i]; }
vec4 value_at(uint i) { return HALF == 1 ? widen(half_values[i]) : values[i]; }

// softmax turns query i's scores into weights relative to the highest so far.
void softmax(uint i) {
	float top = highest[i];
	for (uint j = 0; j < 16; j++) {
		vec4 s = score[i * 16 + j];
		top = max(top, max(max(s.x, s.y), max(s.z, s.w)));
	}
	float shrink = exp(highest[i] - top), sum = 0;
	for (uint j = 0; j < 16; j++) {
		vec4 w = exp(score[i * 16 + j] - top);
		score[i * 16 + j] = w;
		sum += w.x + w.y + w.z + w.w;
	}
	total[i] = total[i] * shrink + sum;
	decay[i] = shrink;
	highest[i] = top;
}

void main() {
	uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
	uint kv = kv_first + gl_WorkGroupID.x, position = positions[part];
	uint groups = (tokens + QUERIES / GROUP - 1) / (QUERIES / GROUP);
	uint split = SPLIT > 0 ? gl_WorkGroupID.y / groups : 0, splits = gl_NumWorkGroups.y / groups;
	uint token = (SPLIT > 0 ? gl_WorkGroupID.y % groups : gl_WorkGroupID.y) * (QUERIES / GROUP);
	uint last = min(token + QUERIES / GROUP, tokens) - 1;
	uint cache = gl_WorkGroupID.x * slots;
	uint walk_begin = segment_begin + split * SPLIT, walk_end = SPLIT > 0 ? walk_begin + SPLIT : segment_end;
	if (SPLIT > 0 && walk_begin > position + last) return; // merge does not look at it

	// Query i is head i % GROUP of token i / GROUP; tokens over the end repeat
	// the last one.
	uint out_at[QUERIES];
	[[unroll]] for (uint i = 0; i < QUERIES; i++) {
		uint t = min(token + i / GROUP, last);
		out_at[i] = ((SPLIT > 0 ? segment_end + t * splits + split : row + t) * kv_heads + kv) * GROUP + i % GROUP;
	}
	for (uint i = lane; i < QUERIES; i += lanes) {
		vec2 so_far = vec2(sinks[kv * GROUP + i % GROUP], SPLIT > 0 ? 0 : 1);
		if (SPLIT == 0 && segment_begin > 0) so_far = running[((row + min(token + i / GROUP, last)) * kv_heads + kv) * GROUP + i % GROUP];
		highest[i] = so_far.x;
		total[i] = so_far.y;
	}
	uint q_at[QUERIES];
	[[unroll]] for (uint i = 0; i < QUERIES; i++)
		q_at[i] = ((row + min(token + i / GROUP, last)) * (GROUP + 2) * kv_heads + kv * GROUP + i % GROUP) * 16;
	vec4 sum[QUERIES * COLUMNS];
	[[unroll]] for (uint i = 0; i < QUERIES; i++)
		[[unroll]] for (uint c = 0; c < COLUMNS; c++)
			sum[i * COLUMNS + c] = SPLIT == 0 && segment_begin > 0 ? ctx[out_at[i] * 16 + lane * COLUMNS + c] : vec4(0);

	uint begin = position + token + 1;
	begin = window > 0 && begin > window ? (begin - window) / 64 * 64 : 0;
	uint end = position + last + 1;
	for (uint block = max(begin, walk_begin); block < min(end, walk_end); block += 64) {
		// Scores of keys key to key + SHARE - 1; keys over the end repeat the last.
		uint key = block + lane * SHARE;
		uint at = cache + block % slots, most = end - 1 - block;
		float s[QUERIES * SHARE];
		[[unroll]] for (uint i = 0; i < QUERIES * SHARE; i++) s[i] = 0;
		[[dont_unroll]] for (uint d = 0; d < 16; d++) {
			vec4 k[SHARE];
			[[unroll]] for (uint j = 0; j < SHARE; j++) k[j] = key_at((at + min(lane * SHARE + j, most)) * 16 + d);
			[[unroll]] for (uint i = 0; i < QUERIES; i++) {
				vec4 q = qkv[q_at[i] + d];
				[[unroll]] for (uint j = 0; j < SHARE; j++) s[i * SHARE + j] += dot(q, k[j]);
			}
		}
		[[unroll]] for (uint i = 0; i < QUERIES; i++) {
			uint p = position + token + i / GROUP;
			[[unroll]] for (uint j = 0; j < SHARE; j++) {
				bool visible = key + j <= p && (window == 0 || p - (key + j) < window);
				s[i * SHARE + j] = visible ? s[i * SHARE + j] * 0.125 : HIDDEN;
			}
			[[unroll]] for (uint j = 0; j < SHARE; j += 4) {
				uint k = i * SHARE + j;
				score[i * 16 + (lane * SHARE + j) / 4] = vec4(s[k], s[k + 1], s[k + 2], s[k + 3]);
			}
		}
		barrier();
		for (uint i = lane; i < QUERIES; i += lanes) softmax(i);
		barrier();

		// Vectors column to column + COLUMNS - 1 of the weighted values.
		uint column = lane * COLUMNS;
		[[unroll]] for (uint i = 0; i < QUERIES; i++) {
			float shrink = decay[i];
			[[unroll]] for (uint c = 0; c < COLUMNS; c++) sum[i * COLUMNS + c] *= shrink;
		}
		[[dont_unroll]] for (uint j = 0; j < 64 && block + j < end; j += 4) {
			vec4 v[4 * COLUMNS];
			[[unroll]] for (uint k = 0; k < 4; k++)
				[[unroll]] for (uint c = 0; c < COLUMNS; c++)
					v[k * COLUMNS + c] = value_at((at + min(j + k, most)) * 16 + column + c);
			[[unroll]] for (uint i = 0; i < QUERIES; i++) {
				vec4 w = score[i * 16 + j / 4];
				[[unroll]] for (uint c = 0; c < COLUMNS; c++)
					sum[i * COLUMNS + c] += w.x * v[c] + w.y * v[COLUMNS + c] + w.z * v[2 * COLUMNS + c] + w.w * v[3 * COLUMNS + c];
			}
		}
		barrier();
	}

	[[unroll]] for (uint i = 0; i < QUERIES; i++) {
		if (token + i / GROUP <= last) {
			float scale = SPLIT == 0 && last_segment == 1 ? 1 / total[i] : 1.0;
			[[unroll]] for (uint c = 0; c < COLUMNS; c++)
				ctx[out_at[i] * 16 + lane * COLUMNS + c] = sum[i * COLUMNS + c] * scale;
			if ((SPLIT > 0 || last_segment == 0) && i % lanes == lane) running[out_at[i]] = vec2(highest[i], total[i]);
		}
	}
}
