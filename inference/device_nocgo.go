package inference

import (
	"context"
	"fmt"

	"chorale/inference/internal/graph"
)

// openVulkan has no Vulkan to open: its binding needs cgo.
func openVulkan(context.Context, *graph.Config, *graph.Weights, Options, string) (device, error) {
	return device{}, fmt.Errorf("%w: this program was built without Vulkan (CGO_ENABLED=0)", errNoGPU)
}
