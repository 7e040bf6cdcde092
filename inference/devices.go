package inference

import (
	"errors"
	"fmt"
	"runtime"

	"chorale/inference/internal/gpu"
)

// DeviceInfo is a device that Options.Device can name.
type DeviceInfo struct {
	ID       string   `json:"id"`                 // for Options.Device
	UUID     string   `json:"uuid,omitempty"`     // the same in every process, also for Options.Device
	Name     string   `json:"name"`               // in words
	Kind     string   `json:"kind"`               // cpu, discrete, integrated, virtual, software or other
	Driver   string   `json:"driver,omitempty"`   // with its version
	Software bool     `json:"software"`           // a driver that computes on the CPU: for tests, slower than cpu
	Memory   uint64   `json:"memory"`             // bytes of its own memory; 0 where it has none or does not say
	Free     int64    `json:"free"`               // of them, what a model may take just now
	Profiles []string `json:"profiles,omitempty"` // kernel profiles that it has the features for; runs use the first
}

// Devices lists what a model can run on: the CPU, which is always there, and
// what Vulkan has. The error says why Vulkan has nothing; the list is good all
// the same.
func Devices() ([]DeviceInfo, error) {
	out := []DeviceInfo{{ID: "cpu", Name: cpuName(runtime.GOMAXPROCS(0)), Kind: "cpu"}}
	all, err := gpu.Devices()
	for _, d := range all {
		info := DeviceInfo{ID: fmt.Sprintf("vulkan:%d", d.Index), UUID: d.UUID, Name: d.String(), Kind: d.Kind, Driver: d.Driver,
			Software: d.Software, Memory: d.Memory}
		var missing, unknown error
		info.Profiles, missing = gpu.Profiles(d)
		info.Free, unknown = gpu.Free(d)
		out, err = append(out, info), errors.Join(err, missing, unknown)
	}
	return out, err
}
