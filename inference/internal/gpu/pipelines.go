//go:build cgo && (amd64 || arm64)

package gpu

import (
	"bytes"
	"crypto/sha256"
	"os"
	"runtime"
	"sync"

	"chorale/inference/internal/vk"
	"chorale/internal/atomicfile"
	"chorale/shaders"
)

// variant is a kernel with its specialisation constants.
type variant struct {
	kernel    *shaders.Kernel
	constants [6]uint32
	count     int // of constants
}

func variantOf(k *shaders.Kernel, constants []uint32) variant {
	v := variant{kernel: k, count: len(constants)}
	copy(v.constants[:], constants)
	return v
}

// spec says how a kernel is built.
func spec(k *shaders.Kernel, constants []uint32) vk.KernelSpec {
	return vk.KernelSpec{Name: k.Name, SPIRV: k.SPIRV, Bindings: k.Bindings, Texels: shaders.Texels[k], Push: k.Push,
		Constants: constants, Whole: k.Subgroups()}
}

// made returns a kernel of this device, nil where it is not compiled yet.
func (b *Backend) made(v variant) *vk.Kernel {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kernels[v]
}

// compile makes kernels, on all cores.
func (b *Backend) compile(all map[variant]bool) error {
	var work sync.WaitGroup
	var failed error
	free := make(chan bool, runtime.GOMAXPROCS(0))
	for v := range all {
		free <- true
		work.Go(func() {
			defer func() { <-free }()
			made, err := b.device.NewKernel(spec(v.kernel, v.constants[:v.count]))
			b.mu.Lock()
			defer b.mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			b.kernels[v], b.compiled = made, true
		})
	}
	work.Wait()
	return failed
}

// A file of pipelines is this line, a hash of what follows and of what it is for,
// and what the driver made. Drivers trust what they are given but for its first
// bytes, so what is damaged or another device's is not given to them.
const pipelinesMagic = "chorale pipelines 1\n"

// mostPipelines is the largest file that is read.
const mostPipelines = 1 << 28

func (b *Backend) pipelinesHash(data []byte) [sha256.Size]byte {
	d := &b.device.Description
	key := []byte(d.UUID + "\n" + d.Driver + "\n" + shaders.Digest() + "\n")
	return sha256.Sum256(append(key, data...))
}

// loadPipelines gives the device what was kept of an earlier process. Without it
// kernels are compiled again, which is no error.
func (b *Backend) loadPipelines(path string) error {
	if path == "" {
		return nil
	}
	b.pipelines = path
	var data []byte
	if info, err := os.Stat(path); err == nil && info.Size() < mostPipelines {
		if file, err := os.ReadFile(path); err == nil {
			data = b.readPipelines(file)
		}
	}
	return b.device.UseCache(data)
}

// readPipelines returns what a file holds, nothing where it is not what it should
// be.
func (b *Backend) readPipelines(file []byte) []byte {
	rest, ok := bytes.CutPrefix(file, []byte(pipelinesMagic))
	if !ok || len(rest) <= sha256.Size {
		return nil
	}
	data := rest[sha256.Size:]
	hash := b.pipelinesHash(data)
	if !bytes.Equal(hash[:], rest[:sha256.Size]) {
		return nil
	}
	b.kept = hash
	return data
}

// keepPipelines writes what the device has made, if it is more than was kept. What
// cannot be written is made again the next time.
func (b *Backend) keepPipelines() {
	if b.pipelines == "" || !b.compiled || b.device == nil || b.device.Failed() {
		return
	}
	data, err := b.device.CacheData()
	if err != nil || len(data) == 0 {
		return
	}
	hash := b.pipelinesHash(data)
	if hash == b.kept {
		return
	}
	file := append(append([]byte(pipelinesMagic), hash[:]...), data...)
	_ = atomicfile.Write(b.pipelines, file, 0o600)
}
