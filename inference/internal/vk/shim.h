// The calls that vulkan-go must not make: those with structs as arguments or
// results. Each function here takes scalars and plain arrays, builds the
// structs on the C stack and calls the driver, so nothing that Go's garbage
// collector owns or frees is ever reached through a pointer in C memory.
#ifndef CHORALE_VULKAN_SHIM_H
#define CHORALE_VULKAN_SHIM_H

#include "abi.h"

// vk_load opens the system's Vulkan loader and returns its
// vkGetInstanceProcAddr, or NULL. The library stays open.
void *vk_load(void);

// vk_has_layer and vk_has_extension look an instance layer or extension
// (of that layer, or of the loader where layer is NULL) up.
int vk_has_layer(const char *name);
int vk_has_extension(const char *layer, const char *name);

// vk_create_instance makes an instance and resolves the entry points below.
// With messenger set, the validation layer is loaded and its messages go to
// goVulkanMessage(messenger, text). portable adds what MoltenVK asks for.
result vk_create_instance(const char *app, uintptr_t messenger, int portable, handle *instance, handle *debug);
void vk_destroy_messenger(handle instance, handle debug);

struct vk_heap { uint64_t size, budget; uint32_t flags; }; // budget: 0 where the driver does not say
struct vk_shape { uint32_t m, n, k; };
struct vk_memory_type { uint32_t flags, heap; };
struct vk_description {
	uint32_t api, driver_version, vendor, device;
	int32_t kind;
	char name[256], driver[256], driver_info[256];
	uint8_t uuid[16];
	uint64_t max_allocation;
	uint32_t max_storage_range, max_storage_buffers, max_texels, max_push;
	uint32_t max_shared, max_groups[3], max_invocations;
	uint64_t storage_alignment;
	int32_t family; // of the first queue family that computes, or -1
	uint32_t timestamp_bits; // that count, of that family; 0: it has none
	float timestamp_period;  // nanoseconds per tick
	uint32_t types, heaps;
	struct vk_memory_type type[32];
	struct vk_heap heap[16];
	uint32_t portability_subset;

	// What kernels beyond the base may use. vk_create_device turns all of it on.
	uint32_t subgroup_size, subgroup_arithmetic, subgroup_shuffle;
	uint32_t subgroup_whole, subgroup_required; // pipelines may ask for workgroups of whole subgroups, and for their size
	uint32_t float16;
	uint32_t dot, dot_accelerated; // of four signed bytes packed in a word
	uint32_t matrices;             // shapes of f16 x f16 + f32 over a subgroup
	struct vk_shape matrix[16];
};
void vk_describe(handle instance, handle physical, struct vk_description *out);

result vk_create_device(handle physical, const struct vk_description *d, handle *device);
result vk_create_buffer(handle device, uint64_t size, uint32_t usage, handle *buffer,
	uint64_t *need, uint32_t *types);
result vk_allocate(handle device, uint64_t size, uint32_t type, handle *memory);

// vk_create_set_layout describes n buffers, bindings 0 to n-1. Those in texels, a bit
// each, are uniform texel buffers of four words, the others are storage buffers.
result vk_create_set_layout(handle device, uint32_t n, uint32_t texels, handle *layout);
result vk_create_pipeline_layout(handle device, handle set_layout, uint32_t push_bytes, handle *layout);

// A pipeline cache begins with what vk_pipeline_cache_data gave earlier, or with
// nothing. vk_pipeline_cache_data fills data with up to size bytes and sets size to
// how many; where data is NULL, to how many there are.
result vk_create_pipeline_cache(handle device, const void *data, size_t size, handle *cache);
result vk_pipeline_cache_data(handle device, handle cache, size_t *size, void *data);
void vk_destroy_pipeline_cache(handle device, handle cache);

// vk_create_pipeline compiles SPIR-V with entry point main, or takes the result
// from the cache, which may be 0; specialisation
// constant i has the value constants[i]. With whole set, its workgroups are whole
// subgroups of the size in d, where d has subgroup_whole.
result vk_create_pipeline(handle device, const struct vk_description *d, handle cache, handle layout, const uint32_t *code, size_t bytes,
	const uint32_t *constants, uint32_t n, int whole, handle *pipeline);

// vk_create_set makes a descriptor set in a pool of its own and points binding
// i at bytes offsets[i] to offsets[i]+sizes[i] of buffers[i]. views, pool and set
// must be zero before. vk_destroy_set destroys what it made.
result vk_create_set(handle device, handle set_layout, const handle *buffers, const uint64_t *offsets, const uint64_t *sizes,
	uint32_t n, uint32_t texels, handle *views, handle *pool, handle *set);
void vk_destroy_set(handle device, handle pool, const handle *views, uint32_t n);

result vk_create_timestamps(handle device, uint32_t n, handle *pool);
result vk_create_fence(handle device, handle *fence);
result vk_create_commands(handle device, uint32_t family, handle *pool, handle *commands);
result vk_begin(handle commands);
void vk_barrier(handle commands, uint32_t source_stage, uint32_t target_stage,
	uint32_t source_access, uint32_t target_access);
void vk_copy(handle commands, handle source, handle target, uint64_t from, uint64_t to, uint64_t size);
void vk_bind_set(handle commands, handle layout, handle set);
result vk_submit(handle queue, handle commands, handle fence);

// vk_wait waits so many nanoseconds for a fence and resets it.
result vk_wait(handle device, handle fence, uint64_t timeout);

#endif
