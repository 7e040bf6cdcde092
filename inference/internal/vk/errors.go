//go:build cgo && (amd64 || arm64)

package vk

import (
	"fmt"

	"github.com/vulkan-go/vulkan"
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
