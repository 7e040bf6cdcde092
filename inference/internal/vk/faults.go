package vk

import "errors"

// What a caller can act on. Errors of this package wrap one of these where it
// applies.
var (
	ErrNoLoader    = errors.New("no Vulkan loader on this system (install libvulkan1 or your system's counterpart)")
	ErrNoDriver    = errors.New("the Vulkan loader finds no driver (on Debian and Ubuntu: install mesa-vulkan-drivers)")
	ErrDeviceLost  = errors.New("the device was lost")
	ErrOutOfMemory = errors.New("out of memory")
	ErrTimeout     = errors.New("the device did not finish in time")
)

// The points where a driver can fail, for [Options.Inject].
const (
	AtInstance = "instance"
	AtDevice   = "device"
	AtAllocate = "allocate"
	AtMap      = "map"
	AtPipeline = "pipeline"
	AtUpload   = "upload" // before weights are copied, by [Device.Reach]
	AtSubmit   = "submit"
	AtWait     = "wait"
	AtReadback = "readback" // before results are read, by [Device.Reach]
)

// Points lists them.
var Points = []string{AtInstance, AtDevice, AtAllocate, AtMap, AtPipeline, AtUpload, AtSubmit, AtWait, AtReadback}

// Options say how to connect. The zero value is good.
type Options struct {
	// Validate has every later call watched by the Khronos validation layer,
	// which must be installed; see [Instance.Messages].
	Validate bool

	// Inject, unless nil, is asked at each of [Points] before the driver is.
	// Its error stands for the driver's: the errors above mean what they mean
	// from a driver, a lost device stays lost. It is called from any goroutine.
	Inject func(point string) error
}
