// Sums up rows of logits for the choice of a token: a workgroup does one slice
// (x) of a row (y). Where no candidates are needed it leaves the slice's leader:
// the id with the highest score, the lowest among equals, its logit, and the
// second highest score; else the highest logit and what the exponentials of the
// differences to it add up to. A logit that is no number makes the second score
// infinite, and the sum negative.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"
#include "draw.glsl"

shared float best[256];
shared float second[256];
shared uint leader[256];
shared float total[256];
shared uint bad;

// lead makes lane a's leader that of its and lane b's.
void lead(uint a, uint b) {
	bool wins = leader[b] != NO_ID && (leader[a] == NO_ID || best[b] > best[a] || best[b] == best[a] && leader[b] < leader[a]);
	second[a] = max(max(second[a], second[b]), wins ? best[a] : best[b]);
	if (wins) {
		best[a] = best[b];
		leader[a] = leader[b];
	}
}

// add makes lane a's sum that of its and lane b's, relative to the higher top.
void add(uint a, uint b, float scale) {
	float top = max(best[a], best[b]);
	float x = best[a] == top ? total[a] : total[a] * exp((best[a] - top) * scale);
	float y = best[b] == top ? total[b] : total[b] * exp((best[b] - top) * scale);
	best[a] = top;
	total[a] = x + y;
}

void main() {
	uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x, slice = gl_WorkGroupID.x, row = gl_WorkGroupID.y;
	How how = hows[row];
	best[lane] = LOWEST;
	second[lane] = LOWEST;
	leader[lane] = NO_ID;
	total[lane] = 0;
	if (lane == 0) bad = 0;
	barrier();
	// An id's own score is kept beside what its lane has so far.
	float top = LOWEST, runner = LOWEST, sum = 0;
	uint first = NO_ID;
	for (uint id = slice * lanes + lane; id < vocab; id += SLICES * lanes) {
		uint bits = logits[row * vocab + id];
		if (broken(bits)) bad = 1;
		if (!permitted(how.mask, id)) continue;
		float v = number(bits);
		if (how.bound > 0) {
			if (v > top) {
				sum = top == LOWEST ? 1 : sum * exp((top - v) * how.scale) + 1;
				top = v;
			} else if (v > LOWEST) {
				sum += exp((v - top) * how.scale);
			}
			continue;
		}
		if (how.noisy == 1 && v > LOWEST) v = v * how.scale + gumbel(philox(id, how.counter, how.key));
		if (first == NO_ID || v > top) {
			runner = top;
			top = v;
			first = id;
		} else {
			runner = max(runner, v);
		}
	}
	best[lane] = top;
	second[lane] = runner;
	leader[lane] = first;
	total[lane] = sum;
	barrier();
	for (uint step = lanes / 2; step > 0; step /= 2) {
		if (lane < step) {
			if (how.bound > 0) add(lane, lane + step, how.scale);
			else lead(lane, lane + step);
		}
		barrier();
	}
	if (lane > 0) return;
	uint at = row * SUMMARY;
	if (slice == 0) summary[at] = 0;
	if (how.bound > 0) {
		at += 4 + 2 * slice;
		summary[at] = floatBitsToUint(best[0]);
		summary[at + 1] = floatBitsToUint(bad == 1 ? -1.0 : total[0]);
		return;
	}
	at += 4 + 4 * slice;
	summary[at] = floatBitsToUint(best[0]);
	summary[at + 1] = bad == 1 ? 0x7f800000u : floatBitsToUint(second[0]);
	summary[at + 2] = leader[0];
	summary[at + 3] = leader[0] == NO_ID ? 0u : logits[row * vocab + leader[0]];
}
