// Package gpu computes the model graph on a Vulkan device. It records the
// operations of a pass into command buffers, once for each shape of batch, and
// replays them: decoding submits the same recording for every token.
//
// It refuses models that its kernels are not made for (heads of other than 64
// numbers), and contexts where one KV head exceeds what the device binds at once. It
// never falls back to the CPU by itself; that is the caller's choice. So is what
// stays on the host from the start, where a device has no room for all experts:
// a recording is then cut there, and activations cross instead of weights.
//
// Without cgo, and on 32-bit machines, every call returns ErrUnsupported.
package gpu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
)

// ErrUnsupported says that this build cannot reach Vulkan.
var ErrUnsupported = errors.New("this build has no Vulkan support (it was built without cgo, or for a 32-bit machine)")

// The errors of a device that failed, wrapped by those of this package. After
// one of them, close all States and the Backend; a new one may work.
var (
	ErrDeviceLost  = vk.ErrDeviceLost
	ErrOutOfMemory = vk.ErrOutOfMemory
	ErrTimeout     = vk.ErrTimeout
)

// FaultPoints are where Options.Inject is asked.
var FaultPoints = vk.Points

// DefaultKV is the type of caches where Options leave it open: half the memory of
// f32, and half of what attention reads.
const DefaultKV = graph.KVF16

// Host computes on the CPU what the device has no room for.
type Host interface {
	// Embed sets the rows of x, [len(ids), Hidden], to those of the embedding.
	Embed(x []float32, ids []uint32) error

	// Experts does what graph.Ops.Experts does. The slices have a row for each
	// token, as wide as the registers of these names.
	Experts(ctx context.Context, up, down *graph.Affine, x, norm, choice, mix []float32) error
}

// Options say how a model is loaded and run. The zero value is good.
type Options struct {
	// Host computes the embedding, where HostEmbedding is set, and the experts
	// of the last HostLayers layers. Their weights are not copied to the device.
	Host          Host
	HostEmbedding bool
	HostLayers    int

	KV graph.KVType // of the caches; DefaultKV by default

	// Progress, unless nil, is told now and then how many bytes of the weights
	// are on the device, of how many.
	Progress func(done, total int64)

	// Patience bounds each wait for the device; 0 is a minute, and five for a software
	// driver, which compiles kernels meanwhile. Passes are submitted in pieces of well
	// under a second each on a device that works.
	Patience time.Duration

	// Pipelines is the file that compiled kernels are kept in for the next process;
	// empty: nowhere.
	Pipelines string

	Profile string // of Device.Profiles; none is the base

	// Watch, unless nil, is told of each dispatch how long the device took for it:
	// the operation that it belongs to, as graph.Watch names it, and the kernel.
	// Dispatches then wait for each other, so that a pass takes longer in all.
	Watch func(section, operation, kernel string, took time.Duration)

	Validate bool                     // let the validation layer watch, for tests
	Inject   func(point string) error // faults; see vk.Options
}

func (o *Options) patience(software bool) time.Duration {
	switch {
	case o.Patience > 0:
		return o.Patience
	case software:
		return 5 * time.Minute
	}
	return time.Minute
}

// The kernel profiles. Base is what every device runs.
const (
	Base     = "base"
	Texel    = "texel"    // weights from texel buffers, activations shared by a subgroup, for software drivers
	Subgroup = "subgroup" // sums over a subgroup
	Tiled    = "tiled"    // and batches in tiles that go through shared memory
	Half     = "half"     // and experts in f16
	Dot      = "dot"      // and experts with activations rounded to bytes
	Matrix   = "matrix"   // and batches in f16 on matrix units, added up in f32
)

// AllProfiles lists them.
var AllProfiles = []string{Base, Texel, Subgroup, Tiled, Half, Dot, Matrix}

// Tolerances are how far a register may be from the plain Go backend's in each
// profile: the root of the mean square of the difference, by that of the values.
// Half, Dot and Matrix round activations; those no further off than Base
// compute in f32 throughout.
var Tolerances = map[string]float64{Base: 1e-4, Texel: 1e-4, Subgroup: 1e-4, Tiled: 1e-4, Half: 4e-3, Dot: 4e-2, Matrix: 4e-3}

// Device is a Vulkan device that can run the model.
type Device struct {
	Index    int    // in the loader's order
	UUID     string // 32 hexadecimal digits, the same in every process
	Name     string
	Vendor   string
	Driver   string
	Version  uint32 // of the driver, as it counts
	Kind     string // discrete, integrated, virtual, software or other
	Software bool   // computes on the CPU: for tests, slower than the ref backend
	Shared   bool   // its memory is the host's
	Memory   uint64 // bytes of its own memory
}

// Heap is a memory that a device reaches: its own, or the host's. Budget is how
// much of it this process may take just now, 0 where the driver does not say.
type Heap struct {
	Size, Budget uint64
	Local        bool // the device's own
}

func (d Device) String() string {
	return fmt.Sprintf("%s (%s, %s)", d.Name, d.Kind, d.Driver)
}

// Live returns how many objects this process has on devices, and the memory of
// its buffers in bytes.
func Live() (objects, bytes int64) { return vk.Live() }

// Peak returns the most memory that its buffers have taken at a time, in bytes.
func Peak() int64 { return vk.Peak() }

// Work is what this process has had its devices do so far.
type Work = vk.Work

// Done returns it.
func Done() Work { return vk.Done() }
