package inference

import (
	"fmt"
	"runtime"

	"chorale/inference/internal/gpu"
)

// DeviceInfo is a device that Options.Device can name.
type DeviceInfo struct {
	ID       string // for Options.Device
	Name     string // in words
	Software bool   // a driver that computes on the CPU: for tests, slower than cpu
	Memory   uint64 // bytes of its own memory; 0 where it has none or does not say
}

// Devices lists what a model can run on: the CPU, which is always there, and
// what Vulkan has. The error says why Vulkan has nothing; the list is good all
// the same.
func Devices() ([]DeviceInfo, error) {
	out := []DeviceInfo{{ID: "cpu", Name: cpuName(runtime.GOMAXPROCS(0))}}
	all, err := gpu.Devices()
	for _, d := range all {
		out = append(out, DeviceInfo{ID: fmt.Sprintf("vulkan:%d", d.Index), Name: d.String(), Software: d.Software, Memory: d.Memory})
	}
	return out, err
}
