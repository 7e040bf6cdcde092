//go:build cgo && (amd64 || arm64)

package gpu

import (
	"context"
	"time"

	"chorale/inference/internal/vk"
)

// copied is how much a measurement of bandwidth copies at once: more than any
// cache holds.
const copied = 512 << 20

// Bandwidth measures how many bytes a second a device's memory reads and writes
// together while it copies, at best of several times.
func Bandwidth(ctx context.Context, d Device) (best float64, err error) {
	i, err := vk.Open(vk.Options{})
	if err != nil {
		return 0, err
	}
	defer i.Close()
	all, err := i.Devices()
	if err != nil {
		return 0, err
	}
	found, err := find(d, all)
	if err != nil {
		return 0, err
	}
	device, err := i.Open(found)
	if err != nil {
		return 0, err
	}
	defer device.Close()
	size := int(min(copied, device.Memory/8))
	from, err := device.NewBuffer(size, vk.Local)
	if err != nil {
		return 0, err
	}
	to, err := device.NewBuffer(size, vk.Local)
	if err != nil {
		return 0, err
	}
	b := &Backend{device: device, patience: time.Minute}
	// Memory that was never written may be one page, over and over.
	if err := b.once(func(c *vk.Commands) { c.Fill(from, 0x3c003c00) }); err != nil {
		return 0, err
	}
	for turn := range 6 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		start := time.Now()
		if err := b.once(func(c *vk.Commands) { c.Copy(to, 0, from, 0, size) }); err != nil {
			return 0, err
		}
		if turn > 0 { // the first one maps the memory
			best = max(best, 2*float64(size)/time.Since(start).Seconds())
		}
	}
	return best, nil
}
