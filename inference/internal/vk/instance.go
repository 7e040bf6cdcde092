//go:build cgo && (amd64 || arm64)

package vk

// #cgo linux LDFLAGS: -ldl
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"encoding/hex"
	"fmt"
	"runtime/cgo"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/vulkan-go/vulkan"
)

// raw returns a handle of vulkan-go as the 64 bits that the shim takes.
func raw[H any](h H) C.handle { return *(*C.handle)(unsafe.Pointer(&h)) }

// out lets the shim fill in a handle of vulkan-go.
func out[H any](h *H) *C.handle { return (*C.handle)(unsafe.Pointer(h)) }

// loader finds and initialises the Vulkan loader, once for the process.
var loader = sync.OnceValue(func() error {
	proc := C.vk_load()
	if proc == nil {
		return ErrNoLoader
	}
	vulkan.SetGetInstanceProcAddr(proc)
	return vulkan.Init()
})

// opening serialises the making of instances: vulkan-go and the shim keep their
// entry points in global variables.
var opening sync.Mutex

// Instance is a connection to the Vulkan loader and its drivers.
type Instance struct {
	instance  vulkan.Instance
	messenger C.handle
	messages  *messages
	self      cgo.Handle
	inject    func(point string) error
	abandoned atomic.Bool // with a device that did not come back
}

// reach asks for an injected fault.
func (i *Instance) reach(point string) error {
	if i.inject == nil {
		return nil
	}
	if err := i.inject(point); err != nil {
		return fmt.Errorf("vulkan: injected at %s: %w", point, err)
	}
	return nil
}

// messages are what the validation layer said.
type messages struct {
	mu   sync.Mutex
	list []string
}

const maxMessages = 1000

//export goVulkanMessage
func goVulkanMessage(messenger C.uintptr_t, text *C.char) {
	m := cgo.Handle(messenger).Value().(*messages)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list) < maxMessages {
		m.list = append(m.list, C.GoString(text))
	}
}

// Open connects to the system's Vulkan.
func Open(o Options) (*Instance, error) {
	if err := loader(); err != nil {
		return nil, err
	}
	opening.Lock()
	defer opening.Unlock()
	i := &Instance{messages: &messages{}, inject: o.Inject}
	if err := i.reach(AtInstance); err != nil {
		return nil, err
	}
	if o.Validate {
		if err := needLayer(); err != nil {
			return nil, err
		}
		i.self = cgo.NewHandle(i.messages)
	}
	app := C.CString("chorale")
	defer C.free(unsafe.Pointer(app))
	var created vulkan.Instance
	r := C.vk_create_instance(app, C.uintptr_t(i.self), hasExtension("", "VK_KHR_portability_enumeration"), out(&created), &i.messenger)
	i.instance = created
	if err := check("create instance", r); err != nil {
		i.Close()
		return nil, err
	}
	if err := vulkan.InitInstance(i.instance); err != nil {
		i.Close()
		return nil, err
	}
	return i, nil
}

const validationLayer = "VK_LAYER_KHRONOS_validation"

func needLayer() error {
	name := C.CString(validationLayer)
	defer C.free(unsafe.Pointer(name))
	if C.vk_has_layer(name) == 0 || hasExtension(validationLayer, "VK_EXT_debug_utils") == 0 {
		return fmt.Errorf("%s is not installed (on Debian and Ubuntu: apt-get install vulkan-validationlayers)", validationLayer)
	}
	return nil
}

func hasExtension(layer, name string) C.int {
	var l *C.char
	if layer != "" {
		l = C.CString(layer)
		defer C.free(unsafe.Pointer(l))
	}
	n := C.CString(name)
	defer C.free(unsafe.Pointer(n))
	return C.vk_has_extension(l, n)
}

// Messages returns what the validation layer has said so far, at most 1000
// messages.
func (i *Instance) Messages() []string {
	i.messages.mu.Lock()
	defer i.messages.mu.Unlock()
	return append([]string(nil), i.messages.list...)
}

// Close disconnects. Devices must be closed before.
func (i *Instance) Close() {
	if i.abandoned.Load() {
		return
	}
	if i.instance != nil {
		C.vk_destroy_messenger(raw(i.instance), i.messenger)
		vulkan.DestroyInstance(i.instance, nil)
		i.instance = nil
	}
	if i.self != 0 {
		i.self.Delete()
		i.self = 0
	}
}

// Kind says what sort of hardware a device is.
type Kind int

// The kinds of devices, as Vulkan numbers them.
const (
	Other Kind = iota
	Integrated
	Discrete
	Virtual
	Software // a driver that computes on the CPU
)

func (k Kind) String() string {
	if k < Other || k > Software {
		return "other"
	}
	return [...]string{"other", "integrated", "discrete", "virtual", "software"}[k]
}

// Description is what a device says about itself. Sizes are in bytes.
type Description struct {
	Name, Driver     string
	DriverVersion    uint32 // as the driver counts
	Kind             Kind
	Vendor, Device   uint32
	UUID             string // 32 hexadecimal digits; stable across runs and processes
	API              [3]uint32
	Memory           uint64 // of the largest device-local heap
	Heaps            []Heap
	MaxAllocation    uint64 // of a buffer
	MaxBuffer        uint64 // of one binding of a storage buffer
	MaxBuffers       int    // storage buffers of a kernel
	MaxTexels        uint64 // of a texel buffer
	MaxPush          int
	MaxShared        int
	MaxInvocations   int // per workgroup
	MaxGroups        [3]uint32
	StorageAlignment int // of offsets into storage buffers
	Features         Features

	physical vulkan.PhysicalDevice
	raw      C.struct_vk_description
}

// Heap is a memory of the device, or of the host that the device reaches. Budget
// is how much of it this process may take without harm just now, 0 where the
// driver does not say.
type Heap struct {
	Size, Budget uint64
	Local        bool // the device's own
}

// Features are what kernels may use beyond Vulkan 1.1. They are all turned on.
type Features struct {
	Subgroup           int  // invocations per subgroup
	SubgroupWhole      bool // kernels may ask for workgroups that are whole subgroups
	SubgroupArithmetic bool // sums over a subgroup
	SubgroupShuffle    bool // what another invocation of it has
	Float16            bool // arithmetic in f16
	Dot                bool // products of four signed bytes packed in a word
	DotAccelerated     bool // in one instruction or so
	Matrices           []MatrixShape
}

// MatrixShape is one that a subgroup multiplies at once: an M by K matrix of f16
// with a K by N one, added up in f32.
type MatrixShape struct{ M, N, K int }

// Devices lists the devices that can compute and speak Vulkan 1.1 or later, in
// the loader's order.
func (i *Instance) Devices() ([]Description, error) {
	var n uint32
	if err := check("count devices", vulkan.EnumeratePhysicalDevices(i.instance, &n, nil)); err != nil || n == 0 {
		return nil, err
	}
	physical := make([]vulkan.PhysicalDevice, n)
	if err := check("list devices", vulkan.EnumeratePhysicalDevices(i.instance, &n, physical)); err != nil {
		return nil, err
	}
	var devices []Description
	for _, p := range physical[:n] {
		d := Description{physical: p}
		C.vk_describe(raw(i.instance), raw(p), &d.raw)
		if d.raw.family < 0 || d.raw.api < 1<<22|1<<12 {
			continue
		}
		d.fill()
		devices = append(devices, d)
	}
	return devices, nil
}

func (d *Description) fill() {
	r := &d.raw
	d.Name = C.GoString(&r.name[0])
	d.Driver = C.GoString(&r.driver[0])
	if info := C.GoString(&r.driver_info[0]); info != "" {
		d.Driver += " " + info
	}
	d.DriverVersion = uint32(r.driver_version)
	d.Kind, d.Vendor, d.Device = Kind(r.kind), uint32(r.vendor), uint32(r.device)
	d.UUID = hex.EncodeToString(C.GoBytes(unsafe.Pointer(&r.uuid[0]), C.int(len(r.uuid))))
	d.API = [3]uint32{uint32(r.api) >> 22, uint32(r.api) >> 12 & 0x3ff, uint32(r.api) & 0xfff}
	for _, h := range r.heap[:r.heaps] {
		own := h.flags&C.uint32_t(vulkan.MemoryHeapDeviceLocalBit) != 0
		d.Heaps = append(d.Heaps, Heap{uint64(h.size), uint64(h.budget), own})
		if own {
			d.Memory = max(d.Memory, uint64(h.size))
		}
	}
	d.MaxAllocation, d.MaxBuffer, d.MaxTexels = uint64(r.max_allocation), uint64(r.max_storage_range), uint64(r.max_texels)
	d.MaxBuffers, d.MaxPush, d.MaxShared, d.MaxInvocations = int(r.max_storage_buffers), int(r.max_push), int(r.max_shared), int(r.max_invocations)
	for k := range d.MaxGroups {
		d.MaxGroups[k] = uint32(r.max_groups[k])
	}
	d.StorageAlignment = int(r.storage_alignment)
	d.Features = Features{Subgroup: int(r.subgroup_size), SubgroupWhole: r.subgroup_whole != 0,
		SubgroupArithmetic: r.subgroup_arithmetic != 0, SubgroupShuffle: r.subgroup_shuffle != 0, Float16: r.float16 != 0, Dot: r.dot != 0, DotAccelerated: r.dot_accelerated != 0}
	for _, m := range r.matrix[:r.matrices] {
		d.Features.Matrices = append(d.Features.Matrices, MatrixShape{int(m.m), int(m.n), int(m.k)})
	}
}
