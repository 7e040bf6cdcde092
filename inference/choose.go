package inference

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"chorale/inference/internal/gpu"
)

// ChoiceError is the error of asking for a model, a device or a size that is not
// to be had: what was asked for is wrong, nothing has broken.
type ChoiceError struct{ err error }

// Error implements error.
func (e *ChoiceError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *ChoiceError) Unwrap() error { return e.err }

// choice makes an error one of what was asked for.
func choice(format string, values ...any) error { return &ChoiceError{fmt.Errorf(format, values...)} }

// The names of kinds of devices, and the prefix of one device's.
const (
	anyGPU      = "vulkan"
	anySoftware = "software"
	oneDevice   = "vulkan:"
)

// choose picks the device that a name in lower case means: a kind of devices,
// or one by its index, its UUID, its whole name or a part of it, with or without
// "vulkan:" before it. Software drivers are picked only when they are named:
// they are slower than the CPU backend.
func choose(all []gpu.Device, name string) (gpu.Device, error) {
	switch name {
	case anyGPU:
		if len(all) == 0 {
			return gpu.Device{}, choice("Vulkan has no device")
		}
		return first(all, name, func(d gpu.Device) bool { return !d.Software }, "Vulkan has only software drivers here")
	case anySoftware:
		return first(all, name, func(d gpu.Device) bool { return d.Software }, "Vulkan has no software driver here")
	}
	return chooseOne(all, name)
}

func first(all []gpu.Device, name string, fits func(gpu.Device) bool, none string) (gpu.Device, error) {
	if i := slices.IndexFunc(all, fits); i >= 0 {
		return all[i], nil
	}
	return gpu.Device{}, choice("%s (device %q)", none, name)
}

var uuid = regexp.MustCompile(`^[0-9a-f]{32}$`)

// chooseOne picks the only device that a name means.
func chooseOne(all []gpu.Device, name string) (gpu.Device, error) {
	which := strings.TrimPrefix(name, oneDevice)
	fits := func(d gpu.Device) bool { return strings.Contains(strings.ToLower(d.Name), which) }
	if index, err := strconv.Atoi(which); err == nil {
		fits = func(d gpu.Device) bool { return d.Index == index }
	} else if id := strings.ReplaceAll(which, "-", ""); uuid.MatchString(id) {
		fits = func(d gpu.Device) bool { return d.UUID == id }
	} else if slices.ContainsFunc(all, func(d gpu.Device) bool { return strings.ToLower(d.Name) == which }) {
		fits = func(d gpu.Device) bool { return strings.ToLower(d.Name) == which }
	}
	var found []gpu.Device
	for _, d := range all {
		if which != "" && fits(d) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return gpu.Device{}, choice("there is no device %q: want auto, cpu, vulkan, software, or one of%s", name, list(all))
	}
	return gpu.Device{}, choice("device %q is ambiguous: give the index or the UUID of one of%s", name, list(found))
}

// list names devices in all ways in which they can be asked for.
func list(all []gpu.Device) string {
	if len(all) == 0 {
		return " Vulkan's devices, of which there is none"
	}
	var text strings.Builder
	for _, d := range all {
		fmt.Fprintf(&text, "\n  vulkan:%d  %s  %v", d.Index, d.UUID, d)
	}
	return text.String()
}
