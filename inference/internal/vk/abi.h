// The part of the Vulkan ABI that the shim fills in, declared by hand from the
// specification (Vulkan 1.1 and VK_EXT_debug_utils), so that neither a build
// nor a user needs the Vulkan headers. Handles are 64 bits wide on every
// platform that this package builds for.
#ifndef CHORALE_VULKAN_ABI_H
#define CHORALE_VULKAN_ABI_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t handle;
typedef int32_t result;

enum {
	SUCCESS = 0,
	ERROR_OUT_OF_HOST_MEMORY = -1,
	ERROR_INITIALIZATION_FAILED = -3,
};

enum structure_type {
	TYPE_APPLICATION_INFO = 0,
	TYPE_INSTANCE_CREATE_INFO = 1,
	TYPE_DEVICE_QUEUE_CREATE_INFO = 2,
	TYPE_DEVICE_CREATE_INFO = 3,
	TYPE_SUBMIT_INFO = 4,
	TYPE_MEMORY_ALLOCATE_INFO = 5,
	TYPE_FENCE_CREATE_INFO = 8,
	TYPE_QUERY_POOL_CREATE_INFO = 11,
	TYPE_BUFFER_CREATE_INFO = 12,
	TYPE_BUFFER_VIEW_CREATE_INFO = 13,
	TYPE_SHADER_MODULE_CREATE_INFO = 16,
	TYPE_PIPELINE_CACHE_CREATE_INFO = 17,
	TYPE_SHADER_STAGE_CREATE_INFO = 18,
	TYPE_COMPUTE_PIPELINE_CREATE_INFO = 29,
	TYPE_PIPELINE_LAYOUT_CREATE_INFO = 30,
	TYPE_SET_LAYOUT_CREATE_INFO = 32,
	TYPE_DESCRIPTOR_POOL_CREATE_INFO = 33,
	TYPE_DESCRIPTOR_SET_ALLOCATE_INFO = 34,
	TYPE_WRITE_DESCRIPTOR_SET = 35,
	TYPE_COMMAND_POOL_CREATE_INFO = 39,
	TYPE_COMMAND_BUFFER_ALLOCATE_INFO = 40,
	TYPE_COMMAND_BUFFER_BEGIN_INFO = 42,
	TYPE_MEMORY_BARRIER = 46,
	TYPE_FEATURES_2 = 1000059000,
	TYPE_PROPERTIES_2 = 1000059001,
	TYPE_MEMORY_PROPERTIES_2 = 1000059006,
	TYPE_SUBGROUP_PROPERTIES = 1000094000,
	TYPE_FLOAT16_FEATURES = 1000082000,
	TYPE_MEMORY_MODEL_FEATURES = 1000211000,
	TYPE_SUBGROUP_SIZE_PROPERTIES = 1000225000,
	TYPE_REQUIRED_SUBGROUP_SIZE = 1000225001,
	TYPE_SUBGROUP_SIZE_FEATURES = 1000225002,
	TYPE_MEMORY_BUDGET = 1000237000,
	TYPE_DOT_FEATURES = 1000280000,
	TYPE_DOT_PROPERTIES = 1000280001,
	TYPE_MATRIX_FEATURES = 1000506000,
	TYPE_MATRIX_PROPERTIES = 1000506001,
	TYPE_ID_PROPERTIES = 1000071004,
	TYPE_DEBUG_MESSENGER_CREATE_INFO = 1000128004,
	TYPE_ALLOCATION_PROPERTIES = 1000168000,
	TYPE_DRIVER_PROPERTIES = 1000196000,
};

enum {
	STAGE_COMPUTE = 0x20,
	SHARING_EXCLUSIVE = 0,
	COMMAND_BUFFER_PRIMARY = 0,
	BIND_COMPUTE = 1,
	QUERY_TIMESTAMP = 2,
	QUEUE_COMPUTE_BIT = 2,
	UNIFORM_TEXEL_BUFFER = 4,
	STORAGE_BUFFER = 7,
	FORMAT_QUAD = 107, // R32G32B32A32_UINT
	SUBGROUP_ARITHMETIC = 4,
	SUBGROUP_SHUFFLE = 16,
	REQUIRE_FULL_SUBGROUPS = 2,
};

struct application_info {
	int32_t type; const void *next; const char *app; uint32_t app_version;
	const char *engine; uint32_t engine_version; uint32_t api_version;
};

struct instance_create_info {
	int32_t type; const void *next; uint32_t flags; const struct application_info *app;
	uint32_t layers; const char *const *layer_names;
	uint32_t extensions; const char *const *extension_names;
};

struct extension_properties { char name[256]; uint32_t version; };
struct layer_properties { char name[256]; uint32_t spec; uint32_t version; char text[256]; };

struct debug_message {
	int32_t type; const void *next; uint32_t flags; const char *id; int32_t number; const char *text;
	uint32_t queue_labels; const void *queue; uint32_t cmd_labels; const void *cmd; uint32_t objects; const void *object;
};

typedef uint32_t (*debug_callback)(uint32_t severity, uint32_t kind, const struct debug_message *m, void *user);

struct debug_messenger_create_info {
	int32_t type; const void *next; uint32_t flags; uint32_t severity; uint32_t kind;
	debug_callback callback; void *user;
};

struct device_queue_create_info {
	int32_t type; const void *next; uint32_t flags; uint32_t family; uint32_t count; const float *priorities;
};

// VkPhysicalDeviceFeatures is 55 VkBool32; robustBufferAccess is the first.
struct device_features { uint32_t robust_buffer_access; uint32_t others[54]; };

struct device_create_info {
	int32_t type; const void *next; uint32_t flags;
	uint32_t queues; const struct device_queue_create_info *queue;
	uint32_t layers; const char *const *layer_names;
	uint32_t extensions; const char *const *extension_names;
	const struct device_features *features;
};

struct device_limits {
	uint32_t max_image_1d, max_image_2d, max_image_3d, max_image_cube, max_image_layers;
	uint32_t max_texel_buffer_elements;
	uint32_t max_uniform_buffer_range;
	uint32_t max_storage_buffer_range;
	uint32_t max_push_constants_size;
	uint32_t max_memory_allocation_count;
	uint32_t max_sampler_allocation_count;
	uint64_t buffer_image_granularity, sparse_address_space_size;
	uint32_t max_bound_descriptor_sets;
	uint32_t per_stage_samplers, per_stage_uniform_buffers, per_stage_storage_buffers,
		per_stage_sampled_images, per_stage_storage_images, per_stage_input_attachments, per_stage_resources;
	uint32_t set_samplers, set_uniform_buffers, set_uniform_buffers_dynamic, set_storage_buffers,
		set_storage_buffers_dynamic, set_sampled_images, set_storage_images, set_input_attachments;
	uint32_t vertex[4];
	uint32_t vertex_output_components;
	uint32_t tessellation[8];
	uint32_t geometry[5];
	uint32_t fragment[4];
	uint32_t max_compute_shared_memory_size;
	uint32_t max_compute_work_group_count[3];
	uint32_t max_compute_work_group_invocations;
	uint32_t max_compute_work_group_size[3];
	uint32_t sub_pixel[3];
	uint32_t max_draw_indexed, max_draw_indirect;
	float max_sampler_lod_bias, max_sampler_anisotropy;
	uint32_t max_viewports, max_viewport_dimensions[2];
	float viewport_bounds[2];
	uint32_t viewport_sub_pixel_bits;
	size_t min_memory_map_alignment;
	uint64_t min_texel_buffer_offset_alignment;
	uint64_t min_uniform_buffer_offset_alignment;
	uint64_t min_storage_buffer_offset_alignment;
	uint32_t texels_and_images[22];
	float timestamp_period;
	uint8_t rest[256];
};

struct device_properties {
	uint32_t api, driver, vendor, device; int32_t kind; char name[256]; uint8_t pipeline_cache_uuid[16];
	struct device_limits limits; uint8_t rest[256];
};

struct properties_2 { int32_t type; void *next; struct device_properties properties; };

struct features_2 { int32_t type; void *next; struct device_features features; };

struct subgroup_properties { int32_t type; void *next; uint32_t size, stages, operations, quad; };
struct subgroup_size_properties { int32_t type; void *next; uint32_t min, max, max_of_workgroup, stages; };

// Features that are chained to features_2. What the driver does not know stays
// as it was: zero.
struct float16_features { int32_t type; void *next; uint32_t float16, int8; };
struct memory_model_features { int32_t type; void *next; uint32_t model, device_scope, chains; };
struct subgroup_size_features { int32_t type; void *next; uint32_t control, full; };
struct dot_features { int32_t type; void *next; uint32_t dot; };
struct matrix_features { int32_t type; void *next; uint32_t matrix, robust; };

// Of the 30 flags of VkPhysicalDeviceShaderIntegerDotProductProperties those
// before and after "4x8 bit packed, signed" have no names here.
struct dot_properties { int32_t type; void *next; uint32_t before[4], packed_signed, after[25]; };

struct matrix_properties {
	int32_t type; void *next; uint32_t m, n, k; int32_t a, b, c, result; uint32_t saturating; int32_t scope;
};

struct id_properties {
	int32_t type; void *next; uint8_t device_uuid[16], driver_uuid[16], luid[8]; uint32_t node_mask, luid_valid;
};

// VkPhysicalDeviceMaintenance3Properties.
struct allocation_properties { int32_t type; void *next; uint32_t max_descriptors; uint64_t max_allocation; };

struct driver_properties {
	int32_t type; void *next; int32_t id; char name[256]; char info[256]; uint8_t conformance[4];
};

struct queue_family { uint32_t flags, count, timestamp_bits, granularity[3]; };

struct memory_properties {
	uint32_t types; struct { uint32_t flags, heap; } type[32];
	uint32_t heaps; struct { uint64_t size; uint32_t flags; } heap[16];
};

struct memory_properties_2 { int32_t type; void *next; struct memory_properties memory; };
struct memory_budget { int32_t type; void *next; uint64_t budget[16], usage[16]; };

struct buffer_create_info {
	int32_t type; const void *next; uint32_t flags; uint64_t size; uint32_t usage; int32_t sharing;
	uint32_t families; const uint32_t *family;
};
struct buffer_view_create_info {
	int32_t type; const void *next; uint32_t flags; handle buffer; int32_t format; uint64_t offset, range;
};
struct memory_requirements { uint64_t size, alignment; uint32_t types; };
struct memory_allocate_info { int32_t type; const void *next; uint64_t size; uint32_t memory_type; };

struct shader_module_create_info {
	int32_t type; const void *next; uint32_t flags; size_t size; const uint32_t *code;
};
struct specialization_entry { uint32_t id, offset; size_t size; };
struct specialization { uint32_t entries; const struct specialization_entry *entry; size_t size; const void *data; };
struct shader_stage {
	int32_t type; const void *next; uint32_t flags; int32_t stage; handle module; const char *entry;
	const struct specialization *constants;
};
struct required_subgroup_size { int32_t type; void *next; uint32_t size; };
struct pipeline_cache_create_info { int32_t type; const void *next; uint32_t flags; size_t size; const void *data; };
struct compute_pipeline_create_info {
	int32_t type; const void *next; uint32_t flags; struct shader_stage stage; handle layout; handle base; int32_t base_index;
};
struct set_layout_binding { uint32_t binding; int32_t kind; uint32_t count; uint32_t stages; const void *samplers; };
struct set_layout_create_info {
	int32_t type; const void *next; uint32_t flags; uint32_t count; const struct set_layout_binding *bindings;
};
struct push_constant_range { uint32_t stages, offset, size; };
struct pipeline_layout_create_info {
	int32_t type; const void *next; uint32_t flags; uint32_t sets; const handle *set;
	uint32_t ranges; const struct push_constant_range *range;
};
struct descriptor_pool_size { int32_t kind; uint32_t count; };
struct descriptor_pool_create_info {
	int32_t type; const void *next; uint32_t flags; uint32_t max_sets; uint32_t sizes; const struct descriptor_pool_size *size;
};
struct descriptor_set_allocate_info { int32_t type; const void *next; handle pool; uint32_t count; const handle *layouts; };
struct descriptor_buffer_info { handle buffer; uint64_t offset, range; };
struct write_descriptor_set {
	int32_t type; const void *next; handle set; uint32_t binding, element, count; int32_t kind;
	const void *images; const struct descriptor_buffer_info *buffers; const handle *views;
};

struct command_pool_create_info { int32_t type; const void *next; uint32_t flags; uint32_t family; };
struct command_buffer_allocate_info { int32_t type; const void *next; handle pool; int32_t level; uint32_t count; };
struct command_buffer_begin_info { int32_t type; const void *next; uint32_t flags; const void *inheritance; };
struct memory_barrier { int32_t type; const void *next; uint32_t source, target; };
struct buffer_copy { uint64_t source, target, size; };
struct query_pool_create_info { int32_t type; const void *next; uint32_t flags; int32_t kind; uint32_t count, statistics; };
struct fence_create_info { int32_t type; const void *next; uint32_t flags; };
struct submit_info {
	int32_t type; const void *next; uint32_t waits; const handle *wait; const uint32_t *wait_stages;
	uint32_t commands; const handle *command; uint32_t signals; const handle *signal;
};

#endif
