// Folds what attend made of splits of the keys, in their order, into what is there
// already: the sink, one more logit with no value, or the splits before. So the sink
// counts once, and no sum depends on how many splits a dispatch had. One invocation
// serves four columns of a query head, a workgroup whole heads of a token.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(binding = 0) readonly buffer Batch { uint positions[]; }; // of each part's first token
layout(binding = 1) readonly buffer Sinks { float sinks[]; };
layout(binding = 2) readonly buffer Sums { vec4 sums[]; };    // of splits, [token][split][head]
layout(binding = 3) readonly buffer Splits { vec2 splits[]; }; // their highest score and total weight
layout(binding = 4) buffer Ctx { vec4 ctx[]; };
layout(binding = 5) buffer Running { vec2 running[]; }; // the same of each query, between dispatches

layout(push_constant) uniform Push {
	uint heads; // query heads of the model
	uint part;
	uint row; // that the part begins with
	uint first; // split
	uint count; // of splits
	uint positions_each; // of a split
	uint at;   // where the first split's sums are
	uint last; // 1 where no splits come after
};

void main() {
	uint head = min(gl_GlobalInvocationID.x / 16, heads - 1), c = gl_GlobalInvocationID.x % 16, token = gl_WorkGroupID.y;
	bool mine = gl_GlobalInvocationID.x / 16 < heads;
	uint to = (row + token) * heads + head;
	uint end = min((positions[part] + token) / positions_each + 1, first + count);
	vec2 all = vec2(sinks[head], 1);
	precise vec4 sum = vec4(0);
	if (first > 0) {
		all = running[to];
		sum = ctx[to * 16 + c];
	}
	precise float total = all.y;
	float highest = all.x;
	for (uint s = first; s < end; s++) {
		uint i = (at + token * count + s - first) * heads + head;
		vec2 next = splits[i];
		float top = max(highest, next.x), before = exp(highest - top), now = exp(next.x - top);
		sum = sum * before + sums[i * 16 + c] * now;
		total = total * before + next.y * now;
		highest = top;
	}
	barrier(); // all have read running
	if (!mine) return;
	ctx[to * 16 + c] = last == 1 ? sum / total : sum;
	if (c == 0) running[to] = vec2(highest, total);
}
