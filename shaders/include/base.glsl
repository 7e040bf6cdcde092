// What every kernel shares: the size of its workgroup, and bf16.
#extension GL_EXT_control_flow_attributes : require

// Specialisation constant 0 is the number of invocations per workgroup.
layout(local_size_x_id = 0) in;

// Who computes an output of a product: one invocation, or with SUBGROUP all
// those of a workgroup, which is one subgroup. They take every LANES-th step of
// the sum, from LANE on, and the first of them stores what they add up to.
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_arithmetic : require
#define LANE gl_LocalInvocationID.x
#define LANES gl_WorkGroupSize.x
#define ADDED_UP(v) subgroupAdd(v)
#else
#define LANE 0u
#define LANES 1u
#define ADDED_UP(v) (v)
#endif

// Which of them it computes: ROW(0) to ROW(ROWS - 1), of tile BATCH of the tokens.
//
// With TEXEL a workgroup is EIGHT invocations of one subgroup, each with two rows of every
// tile, and weights lie in tiles of TALL rows, in the order in which a workgroup reads
// them (tile_at). Its tiles are far apart, so that the next workgroup goes on where this
// one ends in as many places: memory is read in a few long runs, which is faster than in
// one or in many. Tiles of tokens take turns: a software driver gives each of its threads
// a run of workgroups, of which they may be empty.
#ifdef TEXEL
const uint EIGHT = 8, TALL = 2 * EIGHT;
#define BATCH gl_WorkGroupID.x
#define TILE_OF(r) (gl_WorkGroupID.y + (r) / 2 * gl_NumWorkGroups.y)
#define ROW(r) (TALL * TILE_OF(r) + 2 * gl_LocalInvocationID.x + (r) % 2)

// Where this invocation's vectors of its row r begin, EIGHT vectors apart, of rows that
// have so many. A tile is [row % 2][vector][row / 2], so that a fetch by all reads a run of
// memory. Tiles over the end repeat the last one.
uint tile_at(uint r, uint rows, uint vectors) {
	return (min(TILE_OF(r), (rows - 1) / TALL) * TALL + r % 2 * EIGHT) * vectors + gl_LocalInvocationID.x;
}

// An activation is the same for all rows, and so one fetch brings 32, four to each
// invocation, which tell each other by subgroupShuffle: from a place that is known when
// the kernel is compiled that is one instruction, and a broadcast is a loop.
#extension GL_KHR_shader_subgroup_shuffle : require
#else
#define BATCH gl_WorkGroupID.y
#ifdef SUBGROUP
#define ROW(r) (gl_WorkGroupID.x * ROWS + (r))
#else
#define ROW(r) (gl_GlobalInvocationID.x * ROWS + (r))
#endif
#endif

// What products read: a buffer of vectors, and a function of its name that reads number
// i. With TEXEL it is a texel buffer, which software drivers fetch as vectors; they load
// from storage buffers word by word, asking for each lane whether it is active and in
// bounds.
#ifdef TEXEL
#define QUAD_BUFFER(at, name) layout(binding = at) uniform usamplerBuffer name##_texels; \
	uvec4 name(uint i) { return texelFetch(name##_texels, int(i)); }
#else
#define QUAD_BUFFER(at, name) layout(binding = at) readonly buffer name##_buffer { uvec4 name##_quads[]; }; \
	uvec4 name(uint i) { return name##_quads[i]; }
#endif

// The two bf16 numbers in a word, the earlier one in the low half. Only matrices
// are bf16: gains, biases and sinks are f32 here, which holds every value of the
// files' types.
float bf16_low(uint word) { return uintBitsToFloat(word << 16); }
float bf16_high(uint word) { return uintBitsToFloat(word & 0xffff0000u); }

// Eight bf16 numbers as two vectors.
vec4 bf16_first(uvec4 w) { return vec4(bf16_low(w.x), bf16_high(w.x), bf16_low(w.y), bf16_high(w.y)); }
vec4 bf16_second(uvec4 w) { return vec4(bf16_low(w.z), bf16_high(w.z), bf16_low(w.w), bf16_high(w.w)); }
