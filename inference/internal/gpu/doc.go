// Package gpu computes the model graph on a Vulkan device. It records the
// operations of a pass into command buffers, once for each shape of batch, and
// replays them: decoding submits the same recording for every token.
//
// It refuses models that its kernels are not made for (heads of other than 64
// numbers), and contexts whose keys exceed what the device binds at once. It
// never falls back to the CPU by itself; that is the caller's choice.
//
// Without cgo, and on 32-bit machines, every call returns ErrUnsupported.
package gpu

import (
	"errors"
	"fmt"
)

// ErrUnsupported says that this build cannot reach Vulkan.
var ErrUnsupported = errors.New("this build has no Vulkan support (it was built without cgo, or for a 32-bit machine)")

// Device is a Vulkan device that can run the model.
type Device struct {
	Index    int    // in the loader's order
	UUID     string // 32 hexadecimal digits, the same in every process
	Name     string
	Driver   string
	Kind     string // discrete, integrated, virtual, software or other
	Software bool   // computes on the CPU: for tests, slower than the ref backend
	Memory   uint64 // bytes of its own memory
}

func (d Device) String() string {
	return fmt.Sprintf("%s (%s, %s)", d.Name, d.Kind, d.Driver)
}

// Options say how a model is loaded. The zero value is good.
type Options struct {
	Validate bool // watch every call by the validation layer, which must be installed

	// Progress, unless nil, is told now and then how many bytes of the weights
	// are on the device, of how many.
	Progress func(done, total int64)
}
