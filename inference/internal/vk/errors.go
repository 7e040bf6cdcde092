//go:build cgo && (amd64 || arm64)

package vk

import (
	"errors"
	"fmt"

	"github.com/vulkan-go/vulkan"
)

// What a caller can act on. Errors of this package wrap one of these where it
// applies.
var (
	ErrNoLoader    = errors.New("no Vulkan loader on this system (install libvulkan1 or your system's counterpart)")
	ErrNoDriver    = errors.New("the Vulkan loader finds no driver (on Debian and Ubuntu: install mesa-vulkan-drivers)")
	ErrDeviceLost  = errors.New("the device was lost")
	ErrOutOfMemory = errors.New("out of memory")
	ErrTimeout     = errors.New("the device did not finish in time")
)

// check turns a VkResult into an error that says what was being done.
func check[R ~int32](doing string, result R) error {
	switch r := vulkan.Result(result); r {
	case vulkan.Success:
		return nil
	case vulkan.ErrorDeviceLost:
		return fmt.Errorf("vulkan: %s: %w", doing, ErrDeviceLost)
	case vulkan.ErrorOutOfDeviceMemory:
		return fmt.Errorf("vulkan: %s: device %w", doing, ErrOutOfMemory)
	case vulkan.ErrorOutOfHostMemory:
		return fmt.Errorf("vulkan: %s: host %w", doing, ErrOutOfMemory)
	case vulkan.Timeout, vulkan.NotReady:
		return fmt.Errorf("vulkan: %s: %w", doing, ErrTimeout)
	case vulkan.ErrorIncompatibleDriver:
		return fmt.Errorf("vulkan: %s: %w", doing, ErrNoDriver)
	default:
		return fmt.Errorf("vulkan: %s: VkResult %d", doing, r)
	}
}
