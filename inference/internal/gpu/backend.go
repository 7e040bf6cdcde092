//go:build cgo && (amd64 || arm64)

package gpu

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"sync"
	"time"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
	"chorale/inference/internal/weights"
	"chorale/shaders"
)

// Devices lists the devices that can run the model, in the loader's order. It
// reports an error where there is no Vulkan loader; none without one means that
// no driver has a device.
func Devices() ([]Device, error) {
	i, err := vk.Open(vk.Options{})
	if err != nil {
		return nil, err
	}
	defer i.Close()
	all, err := i.Devices()
	if err != nil {
		return nil, err
	}
	devices := make([]Device, len(all))
	for n, d := range all {
		devices[n] = describe(n, d)
	}
	return devices, nil
}

func describe(index int, d vk.Description) Device {
	return Device{Index: index, UUID: d.UUID, Name: d.Name, Vendor: vendor(d.Vendor), Driver: d.Driver, Version: d.DriverVersion, Kind: d.Kind.String(),
		Software: d.Kind == vk.Software, Shared: d.Kind != vk.Discrete && d.Kind != vk.Virtual, Memory: d.Memory}
}

// vendors are the names of those that make devices, by the number that PCI or
// Khronos gave them.
var vendors = map[uint32]string{
	0x1002: "AMD", 0x1010: "Imagination", 0x106b: "Apple", 0x10de: "NVIDIA", 0x13b5: "Arm", 0x1414: "Microsoft",
	0x14e4: "Broadcom", 0x144d: "Samsung", 0x1ae0: "Google", 0x5143: "Qualcomm", 0x8086: "Intel", 0x10005: "Mesa",
}

func vendor(id uint32) string {
	if name := vendors[id]; name != "" {
		return name
	}
	return fmt.Sprintf("%#04x", id)
}

// Stay keeps Vulkan and its drivers loaded until leave is called. Every other call
// connects to them anew, which takes a tenth of a second where nobody stays.
func Stay() (leave func()) {
	i, err := vk.Open(vk.Options{})
	if err != nil {
		return func() {} // whoever needs it is told why
	}
	return i.Close
}

// Heaps lists the memories that a device reaches.
func Heaps(d Device) ([]Heap, error) {
	found, err := look(d)
	var heaps []Heap
	for _, h := range found.Heaps {
		heaps = append(heaps, Heap(h))
	}
	return heaps, err
}

// Free returns how many bytes a model may take of a device's own memory just
// now: nine tenths of what the driver grants the process, or eight tenths of the
// memory where the driver does not say.
func Free(d Device) (int64, error) {
	found, err := look(d)
	var free uint64
	for _, h := range found.Heaps {
		switch {
		case !h.Local:
		case h.Budget > 0:
			free = max(free, h.Budget/10*9)
		default:
			free = max(free, h.Size/10*8)
		}
	}
	return int64(free), err
}

// Profiles lists the kernel profiles that a device has the features for, the
// base first.
func Profiles(d Device) ([]string, error) {
	found, err := look(d)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range profilesOf(&found) {
		names = append(names, p.name)
	}
	return names, nil
}

// look returns what a device says of itself now.
func look(d Device) (vk.Description, error) {
	i, err := vk.Open(vk.Options{})
	if err != nil {
		return vk.Description{}, err
	}
	defer i.Close()
	all, err := i.Devices()
	if err != nil {
		return vk.Description{}, err
	}
	return find(d, all)
}

// find returns a device among those that the system has now.
func find(d Device, all []vk.Description) (vk.Description, error) {
	if d.Index < 0 || d.Index >= len(all) || describe(d.Index, all[d.Index]) != d {
		return vk.Description{}, fmt.Errorf("device %s is not there any more", d)
	}
	return all[d.Index], nil
}

// Backend is a model on a device.
type Backend struct {
	config   *graph.Config
	weights  *graph.Weights
	instance *vk.Instance
	device   *vk.Device
	profile  profile
	patience time.Duration // of a wait for the device
	chunk    int
	model    *model
	host     Host
	watch    func(section, operation, kernel string, took time.Duration)

	kv      graph.KVType
	running sync.Mutex // one pass at a time
	pass    *pass

	mu        sync.Mutex
	kernels   map[variant]*vk.Kernel
	compiled  bool              // something, which the file of pipelines may not hold
	pipelines string            // the file
	kept      [sha256.Size]byte // the hash of what it holds
}

// Open loads the model onto a device that [Devices] returned. A cancelled ctx
// ends it with ctx's error, and nothing is left behind.
func Open(ctx context.Context, d Device, c *graph.Config, w *graph.Weights, o Options) (*Backend, error) {
	return open(ctx, d, c, w, o, nil)
}

// open lets tests adjust the profile before anything is made on the device.
func open(ctx context.Context, d Device, c *graph.Config, w *graph.Weights, o Options, adjust func(*profile)) (*Backend, error) {
	if c.HeadDim != 64 {
		return nil, fmt.Errorf("the Vulkan kernels are made for heads of 64 numbers, this model's have %d", c.HeadDim)
	}
	b := &Backend{config: c, weights: w, patience: o.patience(d.Software), kv: o.KV.Or(DefaultKV), host: o.Host, watch: o.Watch, kernels: map[variant]*vk.Kernel{}}
	if err := b.openDevice(d, o, adjust); err != nil {
		b.Close()
		return nil, err
	}
	var err error
	if b.model, err = upload(ctx, b, o); err != nil {
		b.Close()
		return nil, fmt.Errorf("load the model onto %s: %w", d.Name, err)
	}
	if b.pass, err = newPass(b); err != nil {
		b.Close()
		return nil, fmt.Errorf("make room for a pass on %s: %w", d.Name, err)
	}
	return b, nil
}

func (b *Backend) openDevice(d Device, o Options, adjust func(*profile)) error {
	var err error
	if b.instance, err = vk.Open(vk.Options{Validate: o.Validate, Inject: o.Inject}); err != nil {
		return err
	}
	all, err := b.instance.Devices()
	if err != nil {
		return err
	}
	found, err := find(d, all)
	if err != nil {
		return err
	}
	if b.device, err = b.instance.Open(found); err != nil {
		return err
	}
	if err := b.loadPipelines(o.Pipelines); err != nil {
		return err
	}
	b.profile = newProfile(b.config, b.device.Kind == vk.Software)
	if err := b.profile.use(&b.device.Description, o.Profile); err != nil {
		return err
	}
	b.profile.window = bindable(&b.device.Description)
	if adjust != nil {
		adjust(&b.profile)
	}
	if b.profile.cache == 0 {
		b.profile.cache = bindable(&b.device.Description)
	}
	if b.profile.weights == 0 {
		b.profile.weights = b.profile.window
		if b.profile.name == Texel { // a workgroup whose expert lies in another window costs, too
			b.profile.weights = min(b.profile.window, int(min(16*b.device.MaxTexels, mostBlock)))
		}
	}
	b.chunk = b.largestChunk()
	return b.profile.check(b.config, b.device)
}

// bindable is how many bytes a kernel can have of a buffer, which is one allocation.
func bindable(d *vk.Description) int { return int(min(d.MaxBuffer, d.MaxAllocation, math.MaxInt32)) }

// Chunk is the most tokens that a pass takes.
func (b *Backend) Chunk() int { return b.chunk }

// largestChunk is as large as the device's bindings let the registers be. Logits don't
// count: they are made for the rows that are wanted.
func (b *Backend) largestChunk() int {
	n := graph.MaxChunk
	for n > 1 && uint64(newWorkspace(b.config, n, b.profile.tileOf(b.config, n)).widest) > b.device.MaxBuffer {
		n /= 2
	}
	return n
}

// Close frees the model and closes the device.
func (b *Backend) Close() error {
	b.keepPipelines()
	if b.device != nil {
		b.device.Close()
	}
	if b.instance != nil {
		b.instance.Close()
	}
	b.device, b.instance = nil, nil
	return nil
}

// model is where the weights lie on the device.
type model struct {
	matrices map[*weights.Tensor]*matrix
	vectors  map[*weights.Tensor]vk.Range
}

// matrix is a weight matrix, or one per expert, in the windows that the device
// can bind. A nil *matrix stands for one that is part of another: keys and
// values lie behind the queries' rows.
type matrix struct {
	rows, width int
	parts       []*part
	bias        vk.Range // zero where there is none
}

// part is a window of rows, all of one format, or of experts, in MXFP4.
type part struct {
	format       shaders.Format // of rows
	data, scales vk.Range
	first, count int
}
