// Package gpu computes the model graph on a Vulkan device. It records the
// operations of a pass into command buffers, once for each shape of batch, and
// replays them: decoding submits the same recording for every token.
//
// It refuses models that its kernels are not made for (heads of other than 64
// numbers), and contexts where one KV head exceeds what the device binds at once. It
// never falls back to the CPU by itself; that is the caller's choice.
//
// Without cgo, and on 32-bit machines, every call returns ErrUnsupported.
package gpu

import (
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

// Options say how a model is loaded and run. The zero value is good.
type Options struct {
	// KV is the type of the caches, f16 by default: half the memory, and half
	// of what attention reads.
	KV graph.KVType

	// Progress, unless nil, is told now and then how many bytes of the weights
	// are on the device, of how many.
	Progress func(done, total int64)

	// Patience bounds each wait for the device; 0 is a minute. Passes are
	// submitted in pieces of well under a second each on a device that works.
	Patience time.Duration

	Validate bool                     // let the validation layer watch, for tests
	Inject   func(point string) error // faults; see vk.Options
}

func (o *Options) patience() time.Duration {
	if o.Patience > 0 {
		return o.Patience
	}
	return time.Minute
}

// Device is a Vulkan device that can run the model.
type Device struct {
	Index    int    // in the loader's order
	UUID     string // 32 hexadecimal digits, the same in every process
	Name     string
	Driver   string
	Kind     string // discrete, integrated, virtual, software or other
	Software bool   // computes on the CPU: for tests, slower than the ref backend
	Shared   bool   // its memory is the host's
	Memory   uint64 // bytes of its own memory
}

func (d Device) String() string {
	return fmt.Sprintf("%s (%s, %s)", d.Name, d.Kind, d.Driver)
}
