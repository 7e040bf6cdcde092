package inference

import (
	"errors"
	"fmt"
	"runtime"

	"chorale/inference/internal/gpu"
	"chorale/inference/internal/ref"
)

// DeviceInfo is a device that Options.Device can name.
type DeviceInfo struct {
	ID       string   `json:"id"`               // for Options.Device
	UUID     string   `json:"uuid,omitempty"`   // the same in every process, also for Options.Device
	Name     string   `json:"name"`             // as its driver says it
	Vendor   string   `json:"vendor,omitempty"` // a name, or the number where we know none
	Kind     string   `json:"kind"`             // cpu, discrete, integrated, virtual, software or other
	Driver   string   `json:"driver,omitempty"` // with its version
	Software bool     `json:"software"`         // a driver that computes on the CPU: for tests, slower than cpu
	Memory   uint64   `json:"memory"`           // bytes of its own memory; 0 where it has none or does not say
	Free     int64    `json:"free"`             // of them, what a model may take just now
	Heaps    []Heap   `json:"heaps,omitempty"`
	Kernels  string   `json:"kernels,omitempty"`  // that runs use; of a GPU: the profile, empty before its self-test
	Profiles []string `json:"profiles,omitempty"` // kernel profiles that it has the features for
}

// Heap is a memory that a device reaches.
type Heap struct {
	Size   uint64 `json:"size"`             // bytes
	Budget uint64 `json:"budget,omitempty"` // of them, what this process may take just now; 0: the driver does not say
	Local  bool   `json:"local"`            // the device's own, not the host's
}

// Devices lists what a model can run on: the CPU, which is always there, and
// what Vulkan has. The error says why Vulkan has nothing; the list is good all
// the same.
func Devices() ([]DeviceInfo, error) {
	out := []DeviceInfo{{ID: "cpu", Name: fmt.Sprintf("CPU (%d threads)", runtime.GOMAXPROCS(0)), Kind: "cpu", Kernels: ref.Kernels(), Profiles: []string{gpu.Base}}}
	if ref.HasBytes() {
		out[0].Profiles = append(out[0].Profiles, gpu.Dot)
	}
	all, err := gpu.Devices()
	for _, d := range all {
		info := DeviceInfo{ID: fmt.Sprintf("vulkan:%d", d.Index), UUID: d.UUID, Name: d.Name, Vendor: d.Vendor, Kind: d.Kind,
			Driver: d.Driver, Software: d.Software, Memory: d.Memory, Kernels: knownKernels("", d)}
		var missing, unknown error
		info.Profiles, missing = gpu.Profiles(d)
		info.Free, unknown = gpu.Free(d)
		heaps, unseen := gpu.Heaps(d)
		for _, h := range heaps {
			info.Heaps = append(info.Heaps, Heap(h))
		}
		out, err = append(out, info), errors.Join(err, missing, unknown, unseen)
	}
	return out, err
}

// knownKernels returns the profile that runs on a GPU use, empty where that is
// not known yet, by what is remembered in a folder or among the user's caches.
func knownKernels(dir string, d gpu.Device) string {
	path, err := (&prover{dir: dir}).path(d)
	if err != nil {
		return ""
	}
	switch r := readProof(path); {
	case !r.settled():
		return ""
	case d.Software && r.Passed[gpu.Texel]:
		return gpu.Texel // as chooseKernels has it
	default:
		return r.Chosen
	}
}
