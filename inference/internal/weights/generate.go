package weights

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// Made is a tensor that is computed instead of stored.
type Made struct {
	Name  string
	DType DType // one that the container knows
	Shape []int

	// Fill writes the tensor's bytes from the given one on, len(dst) of them.
	// Both ends lie between elements, or between blocks of MXFP4. It is called
	// from several goroutines.
	Fill func(dst []byte, at int)
}

// Size is the number of the tensor's bytes.
func (m *Made) Size() int {
	n := 1
	for _, d := range m.Shape {
		n *= d
	}
	if m.DType == Q8_0 {
		return n / Block * Q8Bytes
	}
	return n * sizes[m.DType]
}

// Generate returns a checkpoint whose tensors are made instead of read: by Copy,
// where they are copied to, and by Load, in place. Until a tensor is loaded its
// bytes take no memory and must not be read but by Copy.
func Generate(name string, tensors []Made) (*Store, error) {
	g := &generated{}
	size := 0
	for _, m := range tensors {
		g.regions = append(g.regions, &region{at: size, size: m.Size(), fill: m.Fill})
		size += pageUp(m.Size())
	}
	var err error
	if g.memory, err = reserve(size); err != nil {
		return nil, fmt.Errorf("reserve %d bytes of addresses for %s: %w", size, name, err)
	}
	s := &Store{tensors: map[string]*Tensor{}, names: []string{name}, mapped: []pages{g}, unchecked: true}
	s.files = append(s.files, g.memory)
	for i, m := range tensors {
		r := g.regions[i]
		s.tensors[m.Name] = &Tensor{Name: m.Name, File: name, DType: m.DType, Shape: m.Shape,
			Data: g.memory.data[r.at:][:r.size:r.size], store: s}
	}
	return s, nil
}

// generated are addresses for tensors that are made when they are needed.
type generated struct {
	memory  *mapping
	regions []*region
}

// region is the place of one tensor.
type region struct {
	at, size int
	fill     func(dst []byte, at int)

	load   sync.Once
	failed error
}

func (g *generated) bytes() []byte { return g.memory.data }

func (g *generated) find(lo int) *region {
	lower, upper := 0, len(g.regions)
	for upper-lower > 1 {
		if middle := (lower + upper) / 2; g.regions[middle].at <= lo {
			lower = middle
		} else {
			upper = middle
		}
	}
	return g.regions[lower]
}

func (g *generated) copy(dst []byte, lo int) {
	r := g.find(lo)
	r.fill(dst, lo-r.at)
}

// release keeps what was loaded: it would not come back.
func (g *generated) release(lo, hi int) {}

func (g *generated) load(lo int) error {
	r := g.find(lo)
	r.load.Do(func() {
		data := g.memory.data[r.at:]
		if r.failed = commit(data[:pageUp(r.size)]); r.failed == nil {
			fill(data[:r.size], r.fill)
		}
	})
	return r.failed
}

// fill makes a tensor with all processors.
func fill(data []byte, make func(dst []byte, at int)) {
	const step = 4 << 20
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), (len(data)+step-1)/step) {
		all.Go(func() {
			for {
				at := int(next.Add(step)) - step
				if at >= len(data) {
					return
				}
				make(data[at:min(at+step, len(data))], at)
			}
		})
	}
	all.Wait()
}
