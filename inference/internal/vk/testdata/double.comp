// glslc -O --target-env=vulkan1.1 double.comp -o double.spv
#version 450
layout(local_size_x_id = 0) in;
layout(binding = 0) readonly buffer From { float from[]; };
layout(binding = 1) writeonly buffer To { float to[]; };
layout(push_constant) uniform Push { uint count; };
void main() {
	uint i = gl_GlobalInvocationID.x;
	if (i < count) to[i] = 2 * from[i];
}
