// Products on a device's matrix units, for batches: what the kernels matrix_*.comp
// share.
//
// A workgroup computes OUTPUTS outputs of TOKENS tokens. Step by step it brings a
// piece of the weights and one of the activations, both rounded to f16, into
// shared memory; then each subgroup multiplies its own rows of the one with all of
// the other, in fragments of 16 by 16 by 16 numbers, and adds up in f32. What lies
// over an end of either is zero.
//
// With COOPERATIVE the fragments are cooperative matrices. Without it each
// invocation computes its share of them by hand: so the same tiles, steps and
// ends are tested where no driver has matrix units.
//
// With TILED nothing is rounded and no matrix unit is needed: a quarter of the
// workgroup stands for a subgroup, and each invocation computes 4 outputs of ACROSS
// tokens.
#ifdef TILED
#define VEC4 vec4
#else
#define VEC4 f16vec4
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#ifdef COOPERATIVE
#pragma use_vulkan_memory_model
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#endif

layout(constant_id = 1) const uint SUBGROUPS = 4; // per workgroup
layout(constant_id = 2) const uint DOWN = 2;      // fragments of outputs, per subgroup
layout(constant_id = 3) const uint ACROSS = 2;    // fragments of tokens

const uint SIDE = 16, STEP = 32;   // of a fragment, and inputs at a time
const uint VECTORS = STEP / 4;     // of four, that a step has of a row
#ifdef TILED
const uint PITCH = VECTORS + 1;    // from row to row: so rows begin in different banks
#else
const uint PITCH = VECTORS + 2;
#endif
const uint OUTPUTS = SUBGROUPS * DOWN * SIDE, TOKENS = ACROSS * SIDE;
const float MOST = 65504;          // that f16 holds

shared VEC4 left[OUTPUTS * PITCH]; // weights
shared VEC4 right[TOKENS * PITCH]; // activations
shared float product[SUBGROUPS * SIDE * SIDE];

#ifdef TILED
vec4 rounded(vec4 v) { return v; }
#else
f16vec4 rounded(vec4 v) { return f16vec4(clamp(v, -MOST, MOST)); }
#endif

#define THREAD gl_LocalInvocationIndex
#define THREADS gl_WorkGroupSize.x
#define SHARERS (THREADS / SUBGROUPS) // invocations of a subgroup
#define SHARER (THREAD % SHARERS)
#define WHICH (THREAD / SHARERS) // of the subgroups

#ifdef COOPERATIVE
coopmat<float, gl_ScopeSubgroup, SIDE, SIDE, gl_MatrixUseAccumulator> sums[DOWN * ACROSS];

void clear_sums() {
	[[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++)
		sums[i] = coopmat<float, gl_ScopeSubgroup, SIDE, SIDE, gl_MatrixUseAccumulator>(0.0);
}

// multiply adds the products of what is in shared memory.
void multiply() {
	coopmat<float16_t, gl_ScopeSubgroup, SIDE, SIDE, gl_MatrixUseA> a[DOWN];
	coopmat<float16_t, gl_ScopeSubgroup, SIDE, SIDE, gl_MatrixUseB> b;
	[[unroll]] for (uint k = 0; k < VECTORS; k += SIDE / 4) {
		[[unroll]] for (uint d = 0; d < DOWN; d++)
			coopMatLoad(a[d], left, (WHICH * DOWN + d) * SIDE * PITCH + k, PITCH, gl_CooperativeMatrixLayoutRowMajor);
		[[unroll]] for (uint c = 0; c < ACROSS; c++) {
			coopMatLoad(b, right, c * SIDE * PITCH + k, PITCH, gl_CooperativeMatrixLayoutColumnMajor);
			[[unroll]] for (uint d = 0; d < DOWN; d++) sums[d * ACROSS + c] = coopMatMulAdd(a[d], b, sums[d * ACROSS + c]);
		}
	}
}

// show brings a fragment's sums to product, output by output of each token.
void show(uint i) {
	subgroupBarrier();
	coopMatStore(sums[i], product, WHICH * SIDE * SIDE, SIDE, gl_CooperativeMatrixLayoutColumnMajor);
	subgroupBarrier();
}
#elif defined(TILED)
const uint FOUR = 4; // outputs of an invocation; SHARERS / 4 is SIDE, and DOWN is 1
float sums[FOUR * ACROSS];

void clear_sums() {
	[[unroll]] for (uint i = 0; i < FOUR * ACROSS; i++) sums[i] = 0;
}

void multiply() {
	uint a = (WHICH * SIDE + SHARER % 4 * FOUR) * PITCH, b = SHARER / 4 * PITCH;
	[[unroll]] for (uint k = 0; k < VECTORS; k++) {
		vec4 w[FOUR];
		[[unroll]] for (uint r = 0; r < FOUR; r++) w[r] = left[a + r * PITCH + k];
		[[unroll]] for (uint c = 0; c < ACROSS; c++) {
			vec4 x = right[b + c * SIDE * PITCH + k];
			[[unroll]] for (uint r = 0; r < FOUR; r++) sums[c * FOUR + r] += dot(w[r], x);
		}
	}
}

void show(uint i) {
	barrier();
	[[unroll]] for (uint c = 0; c < ACROSS; c++)
		[[unroll]] for (uint r = 0; r < FOUR; r++)
			if (c == i) product[WHICH * SIDE * SIDE + SHARER / 4 * SIDE + SHARER % 4 * FOUR + r] = sums[c * FOUR + r];
	barrier();
}
#else
const uint SHARE = SIDE * SIDE * SUBGROUPS / gl_WorkGroupSize.x; // of a fragment, of an invocation
float sums[DOWN * ACROSS * SHARE];

void clear_sums() {
	for (uint i = 0; i < DOWN * ACROSS * SHARE; i++) sums[i] = 0;
}

void multiply() {
	for (uint d = 0; d < DOWN; d++) for (uint c = 0; c < ACROSS; c++) for (uint j = 0; j < SHARE; j++) {
		uint at = SHARER + j * SHARERS, output_ = at % SIDE, token = at / SIDE;
		uint a = ((WHICH * DOWN + d) * SIDE + output_) * PITCH, b = (c * SIDE + token) * PITCH;
		float sum = 0;
		[[unroll]] for (uint k = 0; k < VECTORS; k++) sum += dot(vec4(left[a + k]), vec4(right[b + k]));
		sums[(d * ACROSS + c) * SHARE + j] += sum;
	}
}

void show(uint i) {
	subgroupBarrier();
	for (uint j = 0; j < SHARE; j++) product[WHICH * SIDE * SIDE + SHARER + j * SHARERS] = sums[i * SHARE + j];
	subgroupBarrier();
}
#endif

// shown is the sum of an output and a token of the fragment in product.
float shown(uint output_, uint token) { return product[(WHICH * SIDE + token) * SIDE + output_]; }
