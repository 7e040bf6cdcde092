//go:build cgo && (amd64 || arm64)

package vk

// #include "shim.h"
import "C"

import (
	"container/list"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vulkan-go/vulkan"
)

// Device is an open device with one compute queue. Out-of-bounds accesses of
// its kernels are harmless (robustBufferAccess is on).
type Device struct {
	Description
	instance *Instance
	device   vulkan.Device
	queue    vulkan.Queue
	cache    C.handle // of pipelines; 0 until UseCache

	allocated atomic.Int64 // bytes of buffers

	mu      sync.Mutex // guards the fields below, and the queue as Vulkan demands
	objects list.List  // of *object, oldest first
	running map[*Commands]bool
	late    int   // of running, those that did not finish in time
	lost    error // set for good when the device is lost
	closed  bool
}

// Allocated is how many bytes the device's buffers take now, wherever they lie.
func (d *Device) Allocated() int64 { return d.allocated.Load() }

// object is something that its Device destroys at the latest when it closes.
type object struct {
	device  *Device
	element *list.Element
	destroy func()
}

// Open opens a device that [Instance.Devices] returned.
func (i *Instance) Open(d Description) (*Device, error) {
	if err := i.reach(AtDevice); err != nil {
		return nil, err
	}
	dev := &Device{Description: d, instance: i, running: map[*Commands]bool{}}
	var device vulkan.Device
	r := C.vk_create_device(raw(d.physical), &d.raw, out(&device))
	if err := check("open "+d.Name, r); err != nil {
		return nil, err
	}
	var queue vulkan.Queue
	vulkan.GetDeviceQueue(device, uint32(d.raw.family), 0, &queue)
	dev.device, dev.queue = device, queue
	return dev, nil
}

// Reach asks for an injected fault at a point of [Points] that this package
// does not see: before weights are copied, before results are read.
func (d *Device) Reach(point string) error { return d.note(d.instance.reach(point)) }

// Failed reports whether the device is of no more use.
func (d *Device) Failed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost != nil || d.late > 0 || d.closed
}

// note remembers the loss of the device.
func (d *Device) note(err error) error {
	if errors.Is(err, ErrDeviceLost) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.lost = err
	}
	return err
}

// adopt makes the device the owner of an object.
func (d *Device) adopt(o *object, destroy func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o.device, o.destroy = d, destroy
	o.element = d.objects.PushBack(o)
	live.objects.Add(1)
}

// Close destroys the object. The device must have finished with it, unless the
// device was lost or is late with some work: what it may still use is then kept
// until the device is closed. Closing twice, or after the device, does nothing.
func (o *object) Close() {
	if o == nil || o.device == nil {
		return
	}
	d := o.device
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lost == nil && d.late == 0 {
		o.release()
	}
}

// release destroys the object; the device's lock is held.
func (o *object) release() {
	if o.element == nil {
		return
	}
	o.device.objects.Remove(o.element)
	o.element = nil
	o.destroy()
	live.objects.Add(-1)
}

// farewell is how long Close waits for work that is still running.
const farewell = 5 * time.Second

// Close destroys the device and everything that belongs to it. Work that is
// still running is given a few seconds; a device that does not come back within
// them is abandoned, and its instance with it, since destroying what it uses
// would be undefined.
func (d *Device) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.closed = true
	for c := range d.running {
		if errors.Is(c.fenced(farewell), ErrTimeout) {
			d.instance.abandoned.Store(true)
			return
		}
	}
	for e := d.objects.Back(); e != nil; e = d.objects.Back() {
		e.Value.(*object).release()
	}
	vulkan.DestroyDevice(d.device, nil)
}
