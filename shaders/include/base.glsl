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
// With TEXEL, weights lie in tiles of TALL rows, in the order in which a workgroup reads
// them: [row / TALL][vector / LANES][row % TALL][vector % LANES]. Its tiles are far
// apart, so that the next workgroup goes on where this one ends in as many places: memory
// is read in a few long runs, which is faster than in one or in many. Tiles of tokens
// take turns: a software driver gives each of its threads a run of workgroups, of which
// they may be empty.
const uint TALL = 4;
#ifdef TEXEL
#define BATCH gl_WorkGroupID.x
#define ROW(r) (TALL * (gl_WorkGroupID.y + (r) / TALL * gl_NumWorkGroups.y) + (r) % TALL)
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
