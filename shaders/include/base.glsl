// What every kernel shares: the size of its workgroup, and bf16.
#extension GL_EXT_control_flow_attributes : require

// Specialisation constant 0 is the number of invocations per workgroup.
layout(local_size_x_id = 0) in;

// The two bf16 numbers in a word, the earlier one in the low half.
float bf16_low(uint word) { return uintBitsToFloat(word << 16); }
float bf16_high(uint word) { return uintBitsToFloat(word & 0xffff0000u); }
float bf16_at(uint word, uint index) { return (index & 1u) == 0u ? bf16_low(word) : bf16_high(word); }

// Eight bf16 numbers as two vectors.
vec4 bf16_first(uvec4 w) { return vec4(bf16_low(w.x), bf16_high(w.x), bf16_low(w.y), bf16_high(w.y)); }
vec4 bf16_second(uvec4 w) { return vec4(bf16_low(w.z), bf16_high(w.z), bf16_low(w.w), bf16_high(w.w)); }
