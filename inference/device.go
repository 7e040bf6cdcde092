package inference

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"chorale/inference/internal/gpu"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/ref"
)

// device is a backend with its description.
type device struct {
	backend    graph.Backend
	kind, name string
}

// openDevice loads the model on the device that o names.
func openDevice(ctx context.Context, c *graph.Config, w *graph.Weights, o Options) (device, error) {
	switch name := strings.ToLower(o.Device); {
	case name == "cpu" || name == "ref":
		return openCPU(ctx, c, w, o)
	case name == "" || name == "auto":
		d, err := openVulkan(ctx, c, w, "vulkan", gpu.Options{Progress: o.Progress})
		if err == nil {
			return d, nil
		}
		if err := ctx.Err(); err != nil {
			return device{}, err
		}
		d, cpuErr := openCPU(ctx, c, w, o)
		if cpuErr != nil {
			return device{}, cpuErr
		}
		o.Notice(fmt.Sprintf("No GPU: %v. The model runs on the %s.", err, d.name))
		return d, nil
	case name == "software" || name == "vulkan" || strings.HasPrefix(name, "vulkan:"):
		return openVulkan(ctx, c, w, name, gpu.Options{Progress: o.Progress})
	}
	return device{}, fmt.Errorf("device %q is unknown: want auto, cpu, vulkan, vulkan:INDEX, vulkan:NAME or software", o.Device)
}

func openCPU(ctx context.Context, c *graph.Config, w *graph.Weights, o Options) (device, error) {
	if err := w.Load(ctx); err != nil {
		return device{}, err
	}
	n := o.Threads
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return device{backend: ref.New(c, w, ref.Options{Threads: n}), kind: "ref", name: cpuName(n)}, nil
}

func cpuName(threads int) string { return fmt.Sprintf("CPU (%d threads)", threads) }

func openVulkan(ctx context.Context, c *graph.Config, w *graph.Weights, name string, o gpu.Options) (device, error) {
	all, err := gpu.Devices()
	if err != nil {
		return device{}, err
	}
	d, err := choose(all, name)
	if err != nil {
		return device{}, err
	}
	if err := ctx.Err(); err != nil {
		return device{}, err
	}
	b, err := gpu.Open(ctx, d, c, w, o)
	if err != nil {
		return device{}, err
	}
	return device{backend: b, kind: "vulkan", name: d.String()}, nil
}

// choose picks the device that a name in lower case means. Software drivers are
// picked only when they are named: they are slower than the CPU backend.
func choose(all []gpu.Device, name string) (gpu.Device, error) {
	if len(all) == 0 {
		return gpu.Device{}, errors.New("Vulkan has no device")
	}
	if name == "vulkan" && !slices.ContainsFunc(all, func(d gpu.Device) bool { return !d.Software }) {
		return gpu.Device{}, errors.New("Vulkan has only software drivers here")
	}
	which := strings.TrimPrefix(name, "vulkan:")
	index, err := strconv.Atoi(which)
	byIndex := err == nil
	for _, d := range all {
		var match bool
		switch {
		case name == "vulkan":
			match = !d.Software
		case name == "software":
			match = d.Software
		case byIndex:
			match = d.Index == index
		default:
			match = which != "" && strings.Contains(strings.ToLower(d.Name), which)
		}
		if match {
			return d, nil
		}
	}
	var have []string
	for _, d := range all {
		have = append(have, fmt.Sprintf("vulkan:%d is %v", d.Index, d))
	}
	return gpu.Device{}, fmt.Errorf("Vulkan has no device that %q means: %s", name, strings.Join(have, ", "))
}
