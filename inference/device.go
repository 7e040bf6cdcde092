package inference

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/ref"
)

// device is a backend with its description.
type device struct {
	backend    graph.Backend
	kind, name string
}

// errNoGPU says that Vulkan has no device of the wanted kind.
var errNoGPU = errors.New("no GPU")

// openDevice loads the model on the device that o names.
func openDevice(ctx context.Context, c *graph.Config, w *graph.Weights, o Options) (device, error) {
	switch {
	case o.Device == "cpu" || o.Device == "ref":
		return openCPU(c, w, o), nil
	case o.Device == "" || o.Device == "auto":
		d, err := openVulkan(ctx, c, w, o, "vulkan")
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, errNoGPU) {
			o.Notice(fmt.Sprintf("The GPU can't be used: %v.", err))
		}
		if err := ctx.Err(); err != nil {
			return device{}, err
		}
		d = openCPU(c, w, o)
		o.Notice("No GPU is in use; the model runs on the " + d.name + ".")
		return d, nil
	case o.Device == "software" || o.Device == "vulkan" || strings.HasPrefix(o.Device, "vulkan:"):
		return openVulkan(ctx, c, w, o, o.Device)
	}
	return device{}, fmt.Errorf("device %q is unknown: want auto, cpu, vulkan, vulkan:INDEX, vulkan:NAME or software", o.Device)
}

func openCPU(c *graph.Config, w *graph.Weights, o Options) device {
	n := o.Threads
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return device{backend: ref.New(c, w, n), kind: "ref", name: fmt.Sprintf("CPU (%d threads)", n)}
}
