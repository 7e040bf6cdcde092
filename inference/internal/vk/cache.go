//go:build cgo && (amd64 || arm64)

package vk

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"unsafe"
)

// UseCache has the device keep what it makes of kernels, beginning with what
// [Device.CacheData] gave in another process, or with nothing. Data that is not the
// driver's own must not be given: drivers look at its first bytes only.
func (d *Device) UseCache(data []byte) error {
	if d.cache != 0 {
		return errors.New("vulkan: the device has a cache")
	}
	var first unsafe.Pointer
	if len(data) > 0 {
		first = C.CBytes(data)
		defer C.free(first)
	}
	var cache C.handle
	if err := d.note(check("make pipeline cache", C.vk_create_pipeline_cache(raw(d.device), first, C.size_t(len(data)), &cache))); err != nil {
		return err
	}
	d.cache = cache
	d.adopt(&object{}, func() { C.vk_destroy_pipeline_cache(raw(d.device), cache) })
	return nil
}

// CacheData returns what the device has made of kernels, for [Device.UseCache] in
// another process; nothing where it has no cache.
func (d *Device) CacheData() ([]byte, error) {
	if d.cache == 0 {
		return nil, nil
	}
	const doing = "read pipeline cache"
	var size C.size_t
	if err := check(doing, C.vk_pipeline_cache_data(raw(d.device), d.cache, &size, nil)); err != nil || size == 0 {
		return nil, err
	}
	data := C.malloc(size)
	defer C.free(data)
	if err := check(doing, C.vk_pipeline_cache_data(raw(d.device), d.cache, &size, data)); err != nil {
		return nil, err
	}
	return C.GoBytes(data, C.int(size)), nil
}
