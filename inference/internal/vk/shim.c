#include "shim.h"

#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

// Entry points, resolved once per instance. Those of the loader dispatch on
// the handle, so the latest instance's serve them all.
typedef void (*function)(void);
typedef function (*get_proc)(handle instance, const char *name);
static get_proc proc;

#define RESOLVE(instance, ret, name, ...) ret (*name)(__VA_ARGS__) = (ret (*)(__VA_ARGS__))proc(instance, #name)

#define DEVICE_CALLS(X) \
	X(void, vkGetPhysicalDeviceProperties, (handle, struct device_properties *)) \
	X(void, vkGetPhysicalDeviceProperties2, (handle, struct properties_2 *)) \
	X(void, vkGetPhysicalDeviceFeatures2, (handle, struct features_2 *)) \
	X(void, vkGetPhysicalDeviceMemoryProperties2, (handle, struct memory_properties_2 *)) \
	X(void, vkGetPhysicalDeviceQueueFamilyProperties, (handle, uint32_t *, struct queue_family *)) \
	X(result, vkEnumerateDeviceExtensionProperties, (handle, const char *, uint32_t *, struct extension_properties *)) \
	X(result, vkCreateDevice, (handle, const struct device_create_info *, const void *, handle *)) \
	X(result, vkCreateBuffer, (handle, const struct buffer_create_info *, const void *, handle *)) \
	X(result, vkCreateBufferView, (handle, const struct buffer_view_create_info *, const void *, handle *)) \
	X(void, vkDestroyBufferView, (handle, handle, const void *)) \
	X(void, vkGetBufferMemoryRequirements, (handle, handle, struct memory_requirements *)) \
	X(result, vkAllocateMemory, (handle, const struct memory_allocate_info *, const void *, handle *)) \
	X(result, vkCreateDescriptorSetLayout, (handle, const struct set_layout_create_info *, const void *, handle *)) \
	X(result, vkCreatePipelineLayout, (handle, const struct pipeline_layout_create_info *, const void *, handle *)) \
	X(result, vkCreateShaderModule, (handle, const struct shader_module_create_info *, const void *, handle *)) \
	X(void, vkDestroyShaderModule, (handle, handle, const void *)) \
	X(result, vkCreatePipelineCache, (handle, const struct pipeline_cache_create_info *, const void *, handle *)) \
	X(result, vkGetPipelineCacheData, (handle, handle, size_t *, void *)) \
	X(void, vkDestroyPipelineCache, (handle, handle, const void *)) \
	X(result, vkCreateComputePipelines, (handle, handle, uint32_t, const struct compute_pipeline_create_info *, const void *, handle *)) \
	X(result, vkCreateDescriptorPool, (handle, const struct descriptor_pool_create_info *, const void *, handle *)) \
	X(void, vkDestroyDescriptorPool, (handle, handle, const void *)) \
	X(result, vkAllocateDescriptorSets, (handle, const struct descriptor_set_allocate_info *, handle *)) \
	X(void, vkUpdateDescriptorSets, (handle, uint32_t, const struct write_descriptor_set *, uint32_t, const void *)) \
	X(result, vkCreateQueryPool, (handle, const struct query_pool_create_info *, const void *, handle *)) \
	X(result, vkCreateFence, (handle, const struct fence_create_info *, const void *, handle *)) \
	X(result, vkCreateCommandPool, (handle, const struct command_pool_create_info *, const void *, handle *)) \
	X(void, vkDestroyCommandPool, (handle, handle, const void *)) \
	X(result, vkAllocateCommandBuffers, (handle, const struct command_buffer_allocate_info *, handle *)) \
	X(result, vkBeginCommandBuffer, (handle, const struct command_buffer_begin_info *)) \
	X(void, vkCmdPipelineBarrier, (handle, uint32_t, uint32_t, uint32_t, uint32_t, const struct memory_barrier *, uint32_t, const void *, uint32_t, const void *)) \
	X(void, vkCmdCopyBuffer, (handle, handle, handle, uint32_t, const struct buffer_copy *)) \
	X(void, vkCmdBindDescriptorSets, (handle, int32_t, handle, uint32_t, uint32_t, const handle *, uint32_t, const uint32_t *)) \
	X(result, vkWaitForFences, (handle, uint32_t, const handle *, uint32_t, uint64_t)) \
	X(result, vkResetFences, (handle, uint32_t, const handle *)) \
	X(result, vkQueueSubmit, (handle, uint32_t, const struct submit_info *, handle))

#define DECLARE(ret, name, args) static ret (*name) args;
DEVICE_CALLS(DECLARE)

static int resolve(handle instance) {
	int missing = 0;
#define RESOLVE_CALL(ret, name, args) if (!(name = (ret (*) args)proc(instance, #name))) missing++;
	DEVICE_CALLS(RESOLVE_CALL)
	return missing;
}

void *vk_load(void) {
#ifdef _WIN32
	HMODULE lib = LoadLibraryA("vulkan-1.dll");
	if (lib) proc = (get_proc)(void *)GetProcAddress(lib, "vkGetInstanceProcAddr");
#else
	static const char *const names[] = {
#ifdef __APPLE__
		"libvulkan.1.dylib", "/usr/local/lib/libvulkan.1.dylib", "/opt/homebrew/lib/libvulkan.1.dylib", "libMoltenVK.dylib",
#else
		"libvulkan.so.1", "libvulkan.so",
#endif
	};
	for (size_t i = 0; i < sizeof names / sizeof *names && !proc; i++) {
		void *lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
		if (lib) proc = (get_proc)dlsym(lib, "vkGetInstanceProcAddr");
	}
#endif
	return (void *)proc;
}

int vk_has_layer(const char *name) {
	RESOLVE(0, result, vkEnumerateInstanceLayerProperties, uint32_t *, struct layer_properties *);
	uint32_t n = 0;
	if (!vkEnumerateInstanceLayerProperties || vkEnumerateInstanceLayerProperties(&n, NULL) || !n) return 0;
	struct layer_properties *all = calloc(n, sizeof *all);
	int found = 0;
	if (all && vkEnumerateInstanceLayerProperties(&n, all) >= 0)
		for (uint32_t i = 0; i < n; i++) found |= !strcmp(all[i].name, name);
	free(all);
	return found;
}

static int listed(struct extension_properties *all, uint32_t n, const char *name) {
	for (uint32_t i = 0; i < n; i++)
		if (!strcmp(all[i].name, name)) return 1;
	return 0;
}

int vk_has_extension(const char *layer, const char *name) {
	RESOLVE(0, result, vkEnumerateInstanceExtensionProperties, const char *, uint32_t *, struct extension_properties *);
	uint32_t n = 0;
	if (!vkEnumerateInstanceExtensionProperties || vkEnumerateInstanceExtensionProperties(layer, &n, NULL) || !n) return 0;
	struct extension_properties *all = calloc(n, sizeof *all);
	int found = all && vkEnumerateInstanceExtensionProperties(layer, &n, all) >= 0 && listed(all, n, name);
	free(all);
	return found;
}

extern void goVulkanMessage(uintptr_t messenger, char *text);

static uint32_t on_message(uint32_t severity, uint32_t kind, const struct debug_message *m, void *user) {
	(void)severity, (void)kind;
	goVulkanMessage((uintptr_t)user, (char *)m->text);
	return 0;
}

result vk_create_instance(const char *app, uintptr_t messenger, int portable, handle *instance, handle *debug) {
	RESOLVE(0, result, vkCreateInstance, const struct instance_create_info *, const void *, handle *);
	if (!vkCreateInstance) return ERROR_INITIALIZATION_FAILED;
	struct application_info info = {.type = TYPE_APPLICATION_INFO, .app = app, .engine = app, .api_version = 1u << 22 | 1u << 12};
	const char *layer = "VK_LAYER_KHRONOS_validation", *extensions[2];
	struct instance_create_info create = {.type = TYPE_INSTANCE_CREATE_INFO, .app = &info, .extension_names = extensions};
	struct debug_messenger_create_info hook = {
		.type = TYPE_DEBUG_MESSENGER_CREATE_INFO, .severity = 0x1100 /* warning, error */,
		.kind = 6 /* validation, performance */, .callback = on_message, .user = (void *)messenger};
	if (messenger) {
		create.layers = 1, create.layer_names = &layer, create.next = &hook;
		extensions[create.extensions++] = "VK_EXT_debug_utils";
	}
	if (portable) {
		create.flags = 1;
		extensions[create.extensions++] = "VK_KHR_portability_enumeration";
	}
	*debug = 0;
	result r = vkCreateInstance(&create, NULL, instance);
	if (r) return r;
	if (resolve(*instance)) return ERROR_INITIALIZATION_FAILED;
	if (!messenger) return SUCCESS;
	RESOLVE(*instance, result, vkCreateDebugUtilsMessengerEXT, handle, const struct debug_messenger_create_info *, const void *, handle *);
	return vkCreateDebugUtilsMessengerEXT ? vkCreateDebugUtilsMessengerEXT(*instance, &hook, NULL, debug) : ERROR_INITIALIZATION_FAILED;
}

void vk_destroy_messenger(handle instance, handle debug) {
	RESOLVE(instance, void, vkDestroyDebugUtilsMessengerEXT, handle, handle, const void *);
	if (debug && vkDestroyDebugUtilsMessengerEXT) vkDestroyDebugUtilsMessengerEXT(instance, debug, NULL);
}

static void describe_memory(handle physical, int budgeted, struct vk_description *out) {
	struct memory_budget budget = {.type = TYPE_MEMORY_BUDGET};
	struct memory_properties_2 all = {.type = TYPE_MEMORY_PROPERTIES_2, .next = budgeted ? &budget : NULL};
	vkGetPhysicalDeviceMemoryProperties2(physical, &all);
	const struct memory_properties *m = &all.memory;
	out->types = m->types, out->heaps = m->heaps;
	for (uint32_t i = 0; i < m->types; i++) out->type[i] = (struct vk_memory_type){m->type[i].flags, m->type[i].heap};
	for (uint32_t i = 0; i < m->heaps; i++) out->heap[i] = (struct vk_heap){m->heap[i].size, budget.budget[i], m->heap[i].flags};
}

// The extensions that vk_create_device turns on where their features are there.
// Matrices need the memory model that their kernels are compiled for.
static const char *const FLOAT16 = "VK_KHR_shader_float16_int8", *const DOT = "VK_KHR_shader_integer_dot_product",
	*const MEMORY_MODEL = "VK_KHR_vulkan_memory_model", *const MATRIX = "VK_KHR_cooperative_matrix",
	*const SUBGROUP_SIZE = "VK_EXT_subgroup_size_control";

// describe_matrices lists the shapes that multiply f16 and add up in f32.
static void describe_matrices(handle instance, handle physical, struct vk_description *out) {
	enum { F16 = 0, F32 = 1, SUBGROUP = 3, MOST = 256 };
	RESOLVE(instance, result, vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR, handle, uint32_t *, struct matrix_properties *);
	struct matrix_properties *all = calloc(MOST, sizeof *all);
	uint32_t n = MOST;
	for (uint32_t i = 0; all && i < n; i++) all[i].type = TYPE_MATRIX_PROPERTIES;
	if (all && vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR && vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR(physical, &n, all) >= 0)
		for (uint32_t i = 0; i < n && out->matrices < sizeof out->matrix / sizeof *out->matrix; i++) {
			const struct matrix_properties *p = &all[i];
			if (p->a == F16 && p->b == F16 && p->c == F32 && p->result == F32 && p->scope == SUBGROUP)
				out->matrix[out->matrices++] = (struct vk_shape){p->m, p->n, p->k};
		}
	free(all);
}

static void describe_features(handle instance, handle physical, struct extension_properties *extensions, uint32_t n, struct vk_description *out) {
	struct subgroup_properties subgroup = {.type = TYPE_SUBGROUP_PROPERTIES};
	struct subgroup_size_properties size = {.type = TYPE_SUBGROUP_SIZE_PROPERTIES};
	struct dot_properties dot = {.type = TYPE_DOT_PROPERTIES};
	struct subgroup_size_features sized = {.type = TYPE_SUBGROUP_SIZE_FEATURES};
	struct float16_features half = {.type = TYPE_FLOAT16_FEATURES};
	struct dot_features dots = {.type = TYPE_DOT_FEATURES};
	struct memory_model_features model = {.type = TYPE_MEMORY_MODEL_FEATURES};
	struct matrix_features matrix = {.type = TYPE_MATRIX_FEATURES};
	struct properties_2 properties = {.type = TYPE_PROPERTIES_2, .next = &subgroup};
	struct features_2 features = {.type = TYPE_FEATURES_2};
	if (listed(extensions, n, SUBGROUP_SIZE)) sized.next = features.next, features.next = &sized, subgroup.next = &size;
	if (listed(extensions, n, FLOAT16)) half.next = features.next, features.next = &half;
	if (listed(extensions, n, DOT)) dots.next = features.next, features.next = &dots, dot.next = subgroup.next, subgroup.next = &dot;
	if (listed(extensions, n, MEMORY_MODEL) && listed(extensions, n, MATRIX))
		model.next = features.next, matrix.next = &model, features.next = &matrix;
	vkGetPhysicalDeviceProperties2(physical, &properties);
	vkGetPhysicalDeviceFeatures2(physical, &features);
	out->subgroup_size = subgroup.size;
	uint32_t operations = subgroup.stages & STAGE_COMPUTE ? subgroup.operations : 0;
	out->subgroup_arithmetic = operations & SUBGROUP_ARITHMETIC;
	out->subgroup_shuffle = operations & SUBGROUP_SHUFFLE;
	out->subgroup_required = sized.control && size.stages & STAGE_COMPUTE && size.min <= subgroup.size && subgroup.size <= size.max;
	out->subgroup_whole = sized.full && (out->subgroup_required || size.min == size.max);
	out->float16 = half.float16;
	out->dot = dots.dot, out->dot_accelerated = dots.dot && dot.packed_signed;
	if (half.float16 && model.model && matrix.matrix) describe_matrices(instance, physical, out);
}

static int32_t compute_family(handle physical, uint32_t *timestamp_bits) {
	struct queue_family all[32];
	uint32_t n = 32;
	vkGetPhysicalDeviceQueueFamilyProperties(physical, &n, all);
	for (uint32_t i = 0; i < n; i++)
		if (all[i].flags & QUEUE_COMPUTE_BIT && all[i].count) {
			*timestamp_bits = all[i].timestamp_bits;
			return (int32_t)i;
		}
	return -1;
}

void vk_describe(handle instance, handle physical, struct vk_description *out) {
	memset(out, 0, sizeof *out);
	uint32_t n = 0;
	struct extension_properties *extensions = NULL;
	if (!vkEnumerateDeviceExtensionProperties(physical, NULL, &n, NULL) && (extensions = calloc(n + 1, sizeof *extensions)))
		if (vkEnumerateDeviceExtensionProperties(physical, NULL, &n, extensions) < 0) n = 0;

	struct driver_properties driver = {.type = TYPE_DRIVER_PROPERTIES};
	struct allocation_properties allocation = {.type = TYPE_ALLOCATION_PROPERTIES};
	struct id_properties id = {.type = TYPE_ID_PROPERTIES, .next = &allocation};
	struct properties_2 all = {.type = TYPE_PROPERTIES_2};
	vkGetPhysicalDeviceProperties(physical, &all.properties);
	if (all.properties.api >= (1u << 22 | 1u << 12)) { // 1.1 brings vkGetPhysicalDeviceProperties2
		all.next = &id;
		if (extensions && listed(extensions, n, "VK_KHR_driver_properties")) allocation.next = &driver;
		vkGetPhysicalDeviceProperties2(physical, &all);
		if (extensions) describe_features(instance, physical, extensions, n, out);
		describe_memory(physical, extensions && listed(extensions, n, "VK_EXT_memory_budget"), out);
	}
	const struct device_properties *p = &all.properties;
	const struct device_limits *l = &p->limits;
	out->api = p->api, out->driver_version = p->driver, out->vendor = p->vendor, out->device = p->device, out->kind = p->kind;
	memcpy(out->name, p->name, sizeof out->name);
	memcpy(out->driver, driver.name, sizeof out->driver);
	memcpy(out->driver_info, driver.info, sizeof out->driver_info);
	memcpy(out->uuid, id.device_uuid, sizeof out->uuid);
	out->max_allocation = allocation.max_allocation;
	out->max_storage_range = l->max_storage_buffer_range, out->max_storage_buffers = l->per_stage_storage_buffers;
	out->max_texels = l->max_texel_buffer_elements, out->max_push = l->max_push_constants_size;
	out->max_shared = l->max_compute_shared_memory_size;
	memcpy(out->max_groups, l->max_compute_work_group_count, sizeof out->max_groups);
	out->max_invocations = l->max_compute_work_group_invocations;
	out->storage_alignment = l->min_storage_buffer_offset_alignment;
	out->family = compute_family(physical, &out->timestamp_bits);
	out->timestamp_period = l->timestamp_period;
	out->portability_subset = extensions && listed(extensions, n, "VK_KHR_portability_subset");
	free(extensions);
}

result vk_create_device(handle physical, const struct vk_description *d, handle *device) {
	const float priority = 1;
	const struct device_queue_create_info queue = {
		.type = TYPE_DEVICE_QUEUE_CREATE_INFO, .family = (uint32_t)d->family, .count = 1, .priorities = &priority};
	struct subgroup_size_features sized = {
		.type = TYPE_SUBGROUP_SIZE_FEATURES, .control = d->subgroup_required, .full = 1};
	struct float16_features half = {.type = TYPE_FLOAT16_FEATURES, .float16 = 1};
	struct dot_features dot = {.type = TYPE_DOT_FEATURES, .dot = 1};
	struct memory_model_features model = {.type = TYPE_MEMORY_MODEL_FEATURES, .model = 1};
	struct matrix_features matrix = {.type = TYPE_MATRIX_FEATURES, .next = &model, .matrix = 1};
	struct features_2 features = {.type = TYPE_FEATURES_2, .features = {.robust_buffer_access = 1}};
	const char *extensions[6];
	uint32_t n = 0;
	if (d->portability_subset) extensions[n++] = "VK_KHR_portability_subset";
	if (d->subgroup_whole) extensions[n++] = SUBGROUP_SIZE, sized.next = features.next, features.next = &sized;
	if (d->float16) extensions[n++] = FLOAT16, half.next = features.next, features.next = &half;
	if (d->dot) extensions[n++] = DOT, dot.next = features.next, features.next = &dot;
	if (d->matrices) {
		extensions[n++] = MEMORY_MODEL, extensions[n++] = MATRIX;
		model.next = features.next, features.next = &matrix;
	}
	const struct device_create_info create = {
		.type = TYPE_DEVICE_CREATE_INFO, .next = &features, .queues = 1, .queue = &queue,
		.extensions = n, .extension_names = extensions};
	return vkCreateDevice(physical, &create, NULL, device);
}

result vk_create_buffer(handle device, uint64_t size, uint32_t usage, handle *buffer, uint64_t *need, uint32_t *types) {
	const struct buffer_create_info create = {
		.type = TYPE_BUFFER_CREATE_INFO, .size = size, .usage = usage, .sharing = SHARING_EXCLUSIVE};
	result r = vkCreateBuffer(device, &create, NULL, buffer);
	if (r) return r;
	struct memory_requirements m;
	vkGetBufferMemoryRequirements(device, *buffer, &m);
	*need = m.size, *types = m.types;
	return SUCCESS;
}

result vk_allocate(handle device, uint64_t size, uint32_t type, handle *memory) {
	const struct memory_allocate_info info = {.type = TYPE_MEMORY_ALLOCATE_INFO, .size = size, .memory_type = type};
	return vkAllocateMemory(device, &info, NULL, memory);
}

#define MAX_BINDINGS 16
#define MAX_CONSTANTS 32

static int32_t kind_of(uint32_t binding, uint32_t texels) {
	return texels >> binding & 1 ? UNIFORM_TEXEL_BUFFER : STORAGE_BUFFER;
}

result vk_create_set_layout(handle device, uint32_t n, uint32_t texels, handle *layout) {
	struct set_layout_binding bindings[MAX_BINDINGS];
	if (n > MAX_BINDINGS) return ERROR_INITIALIZATION_FAILED;
	for (uint32_t i = 0; i < n; i++)
		bindings[i] = (struct set_layout_binding){.binding = i, .kind = kind_of(i, texels), .count = 1, .stages = STAGE_COMPUTE};
	const struct set_layout_create_info create = {.type = TYPE_SET_LAYOUT_CREATE_INFO, .count = n, .bindings = bindings};
	return vkCreateDescriptorSetLayout(device, &create, NULL, layout);
}

result vk_create_pipeline_layout(handle device, handle set_layout, uint32_t push_bytes, handle *layout) {
	const struct push_constant_range range = {.stages = STAGE_COMPUTE, .size = push_bytes};
	const struct pipeline_layout_create_info create = {
		.type = TYPE_PIPELINE_LAYOUT_CREATE_INFO, .sets = 1, .set = &set_layout, .ranges = push_bytes ? 1 : 0, .range = &range};
	return vkCreatePipelineLayout(device, &create, NULL, layout);
}

result vk_create_pipeline_cache(handle device, const void *data, size_t size, handle *cache) {
	const struct pipeline_cache_create_info create = {.type = TYPE_PIPELINE_CACHE_CREATE_INFO, .size = size, .data = data};
	return vkCreatePipelineCache(device, &create, NULL, cache);
}

result vk_pipeline_cache_data(handle device, handle cache, size_t *size, void *data) {
	return vkGetPipelineCacheData(device, cache, size, data);
}

void vk_destroy_pipeline_cache(handle device, handle cache) { vkDestroyPipelineCache(device, cache, NULL); }

result vk_create_pipeline(handle device, const struct vk_description *d, handle cache, handle layout, const uint32_t *code, size_t bytes,
	const uint32_t *constants, uint32_t n, int whole, handle *pipeline) {
	struct specialization_entry entries[MAX_CONSTANTS];
	if (n > MAX_CONSTANTS) return ERROR_INITIALIZATION_FAILED;
	for (uint32_t i = 0; i < n; i++) entries[i] = (struct specialization_entry){.id = i, .offset = 4 * i, .size = 4};
	const struct specialization special = {.entries = n, .entry = entries, .size = 4 * (size_t)n, .data = constants};
	const struct shader_module_create_info module = {.type = TYPE_SHADER_MODULE_CREATE_INFO, .size = bytes, .code = code};
	struct compute_pipeline_create_info create = {
		.type = TYPE_COMPUTE_PIPELINE_CREATE_INFO, .layout = layout, .base_index = -1,
		.stage = {.type = TYPE_SHADER_STAGE_CREATE_INFO, .stage = STAGE_COMPUTE, .entry = "main", .constants = &special}};
	const struct required_subgroup_size size = {.type = TYPE_REQUIRED_SUBGROUP_SIZE, .size = d->subgroup_size};
	if (whole && d->subgroup_whole) {
		create.stage.flags = REQUIRE_FULL_SUBGROUPS;
		if (d->subgroup_required) create.stage.next = &size;
	}
	result r = vkCreateShaderModule(device, &module, NULL, &create.stage.module);
	if (r) return r;
	r = vkCreateComputePipelines(device, cache, 1, &create, NULL, pipeline);
	vkDestroyShaderModule(device, create.stage.module, NULL);
	return r;
}

static result create_views(handle device, const handle *buffers, const uint64_t *offsets, const uint64_t *sizes,
	uint32_t n, uint32_t texels, handle *views) {
	for (uint32_t i = 0; i < n; i++) {
		if (kind_of(i, texels) != UNIFORM_TEXEL_BUFFER) continue;
		const struct buffer_view_create_info view = {.type = TYPE_BUFFER_VIEW_CREATE_INFO, .buffer = buffers[i],
			.format = FORMAT_QUAD, .offset = offsets[i], .range = sizes[i]};
		result r = vkCreateBufferView(device, &view, NULL, &views[i]);
		if (r) return r;
	}
	return SUCCESS;
}

void vk_destroy_set(handle device, handle pool, const handle *views, uint32_t n) {
	for (uint32_t i = 0; i < n; i++)
		if (views[i]) vkDestroyBufferView(device, views[i], NULL);
	if (pool) vkDestroyDescriptorPool(device, pool, NULL);
}

static result create_set(handle device, handle set_layout, uint32_t n, uint32_t texels, handle *pool, handle *set) {
	uint32_t views = 0;
	for (uint32_t i = 0; i < n; i++) views += kind_of(i, texels) == UNIFORM_TEXEL_BUFFER;
	struct descriptor_pool_size sizes[2];
	uint32_t kinds = 0;
	if (n > views) sizes[kinds++] = (struct descriptor_pool_size){STORAGE_BUFFER, n - views};
	if (views) sizes[kinds++] = (struct descriptor_pool_size){UNIFORM_TEXEL_BUFFER, views};
	const struct descriptor_pool_create_info create = {
		.type = TYPE_DESCRIPTOR_POOL_CREATE_INFO, .max_sets = 1, .sizes = kinds, .size = sizes};
	result r = vkCreateDescriptorPool(device, &create, NULL, pool);
	if (r) return r;
	const struct descriptor_set_allocate_info allocate = {
		.type = TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, .pool = *pool, .count = 1, .layouts = &set_layout};
	return vkAllocateDescriptorSets(device, &allocate, set);
}

result vk_create_set(handle device, handle set_layout, const handle *buffers, const uint64_t *offsets, const uint64_t *sizes,
	uint32_t n, uint32_t texels, handle *views, handle *pool, handle *set) {
	if (n > MAX_BINDINGS) return ERROR_INITIALIZATION_FAILED;
	result r = create_views(device, buffers, offsets, sizes, n, texels, views);
	if (!r) r = create_set(device, set_layout, n, texels, pool, set);
	if (r) {
		vk_destroy_set(device, *pool, views, n);
		return r;
	}
	struct descriptor_buffer_info range[MAX_BINDINGS];
	struct write_descriptor_set write[MAX_BINDINGS];
	for (uint32_t i = 0; i < n; i++) {
		range[i] = (struct descriptor_buffer_info){buffers[i], offsets[i], sizes[i]};
		write[i] = (struct write_descriptor_set){.type = TYPE_WRITE_DESCRIPTOR_SET, .set = *set, .binding = i,
			.count = 1, .kind = kind_of(i, texels), .buffers = &range[i], .views = &views[i]};
	}
	vkUpdateDescriptorSets(device, n, write, 0, NULL);
	return SUCCESS;
}

result vk_create_timestamps(handle device, uint32_t n, handle *pool) {
	const struct query_pool_create_info create = {.type = TYPE_QUERY_POOL_CREATE_INFO, .kind = QUERY_TIMESTAMP, .count = n};
	return vkCreateQueryPool(device, &create, NULL, pool);
}

result vk_create_fence(handle device, handle *fence) {
	const struct fence_create_info create = {.type = TYPE_FENCE_CREATE_INFO};
	return vkCreateFence(device, &create, NULL, fence);
}

result vk_create_commands(handle device, uint32_t family, handle *pool, handle *commands) {
	const struct command_pool_create_info create = {
		.type = TYPE_COMMAND_POOL_CREATE_INFO, .flags = 2 /* resettable */, .family = family};
	result r = vkCreateCommandPool(device, &create, NULL, pool);
	if (r) return r;
	const struct command_buffer_allocate_info allocate = {
		.type = TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .pool = *pool, .level = COMMAND_BUFFER_PRIMARY, .count = 1};
	if ((r = vkAllocateCommandBuffers(device, &allocate, commands))) vkDestroyCommandPool(device, *pool, NULL);
	return r;
}

result vk_begin(handle commands) {
	const struct command_buffer_begin_info begin = {.type = TYPE_COMMAND_BUFFER_BEGIN_INFO};
	return vkBeginCommandBuffer(commands, &begin);
}

void vk_barrier(handle commands, uint32_t source_stage, uint32_t target_stage, uint32_t source_access, uint32_t target_access) {
	const struct memory_barrier barrier = {.type = TYPE_MEMORY_BARRIER, .source = source_access, .target = target_access};
	vkCmdPipelineBarrier(commands, source_stage, target_stage, 0, 1, &barrier, 0, NULL, 0, NULL);
}

void vk_copy(handle commands, handle source, handle target, uint64_t from, uint64_t to, uint64_t size) {
	const struct buffer_copy region = {from, to, size};
	vkCmdCopyBuffer(commands, source, target, 1, &region);
}

result vk_submit(handle queue, handle commands, handle fence) {
	const struct submit_info info = {.type = TYPE_SUBMIT_INFO, .commands = 1, .command = &commands};
	return vkQueueSubmit(queue, 1, &info, fence);
}

void vk_bind_set(handle commands, handle layout, handle set) {
	vkCmdBindDescriptorSets(commands, BIND_COMPUTE, layout, 0, 1, &set, 0, NULL);
}

result vk_wait(handle device, handle fence, uint64_t timeout) {
	result r = vkWaitForFences(device, 1, &fence, 1, timeout);
	return r ? r : vkResetFences(device, 1, &fence);
}
