// Package vk is Vulkan compute as this module needs it: instances, devices,
// buffers, kernels, recorded commands, and waits that end. It goes through
// github.com/vulkan-go/vulkan, of which it is the only importer, and contains
// that package's defects:
//
//   - The loader is found here (libvulkan.so.1, not the development symlink) and
//     handed over; without one, [Open] returns [ErrNoLoader].
//   - Calls that take or fill structs are made by a C shim of our own. In
//     vulkan-go their arguments live in C memory that the garbage collector may
//     free during the call.
//   - Everything that vulkan-go lacks (Vulkan 1.1 properties, the debug
//     messenger) is in the shim as well.
//
// vulkan-go's types, constants, and its calls on handles and scalars are used
// directly.
//
// The package refuses graphics, images, more than one queue, and unbounded
// waits. It needs cgo; without it only its errors are left, and its importers
// must be built for that.
//
// Objects belong to their Device and are destroyed with it, latest first, if
// they have not been closed before. A Device's methods may be called
// concurrently; other objects belong to one goroutine at a time.
package vk
