//go:build !cgo || !(amd64 || arm64)

package gpu

import (
	"context"

	"chorale/inference/internal/graph"
)

// Devices reports ErrUnsupported.
func Devices() ([]Device, error) { return nil, ErrUnsupported }

// Free reports ErrUnsupported.
func Free(Device) (int64, error) { return 0, ErrUnsupported }

// Heaps reports ErrUnsupported.
func Heaps(Device) ([]Heap, error) { return nil, ErrUnsupported }

// Stay does nothing.
func Stay() (leave func()) { return func() {} }

// Bandwidth reports ErrUnsupported.
func Bandwidth(context.Context, Device) (float64, error) { return 0, ErrUnsupported }

// Profiles reports ErrUnsupported.
func Profiles(Device) ([]string, error) { return nil, ErrUnsupported }

// Open reports ErrUnsupported.
func Open(context.Context, Device, *graph.Config, *graph.Weights, Options) (*Backend, error) {
	return nil, ErrUnsupported
}

// Backend is never made in this build.
type Backend struct{ graph.Backend }
