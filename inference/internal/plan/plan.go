// Package plan decides, before anything is loaded, what of a model lies where:
// on the device, or on the host. It is arithmetic on sizes: it opens nothing,
// asks no system and loads nothing.
//
// A device keeps what every token needs: attention, routers, unembedding, the KV
// caches and the registers. What is left of its memory goes to the experts of as
// many layers as fit, the first ones; the experts of the others stay on the host
// and are computed there, since activations are a thousand times smaller than the
// weights. The embedding, of which a token needs one row, goes to the device last
// of all, and never where the device's memory is the host's own.
//
// A plan that exceeds a limit is no plan: [DoesNotFit] says by how much, and what
// would fit.
package plan

import (
	"chorale/inference/internal/graph"
	"chorale/inference/internal/weights"
)

// Weights are the bytes of a model by role.
type Weights struct {
	Embedding, Unembedding int64
	Dense                  int64   // attention, routers and norms of all layers
	Experts                []int64 // by layer, biases included

	Type weights.DType // of the unembedding, and of what else is dense
}

// align is what every tensor is rounded up to on a device.
const align = 256

// Measure adds up what the tensors of a model take, unconverted.
func Measure(w *graph.Weights) Weights {
	sum := func(tensors ...*weights.Tensor) (n int64) {
		for _, t := range tensors {
			if t != nil {
				n += (int64(t.Bytes()) + align - 1) / align * align
			}
		}
		return n
	}
	s := Weights{Embedding: sum(w.Embedding), Unembedding: sum(w.Unembedding.W, w.Unembedding.B), Dense: sum(w.Norm), Type: w.Unembedding.W.DType}
	for i := range w.Layers {
		l := &w.Layers[i]
		s.Dense += sum(l.AttnNorm, l.Sinks, l.MLPNorm)
		for _, a := range []graph.Affine{l.Query, l.Key, l.Value, l.Out, l.Router} {
			s.Dense += sum(a.W, a.B)
		}
		s.Experts = append(s.Experts, sum(l.Up.W, l.Up.B, l.Down.W, l.Down.B))
	}
	return s
}

// experts adds up the experts of layers first to end.
func (w *Weights) experts(first, end int) (n int64) {
	for _, e := range w.Experts[first:end] {
		n += e
	}
	return n
}

// Device is what a plan must know of one.
type Device struct {
	Name string

	// Limit is how many bytes a model may take of its memory.
	Limit int64

	// Shared says that its memory is the host's: what lies on it counts against
	// the host's limit as well.
	Shared bool

	KV      graph.KVType // of caches, where the request leaves the choice
	Work    int64        // registers and buffers of a pass
	Staging int64        // buffers to load through; on the host
	Driver  int64        // what the driver takes of the host
}

// Host is what a plan must know of the machine.
type Host struct {
	Limit   int64        // bytes that the process may take; 0 is unknown, and no limit
	KV      graph.KVType // of caches, where the request leaves the choice
	Work    int64        // registers of a pass that the CPU carries out alone
	Help    int64        // and of one where it helps a device
	Program int64        // what the process takes without a model
}

// Request is what is to be planned.
type Request struct {
	Config   *graph.Config
	Weights  Weights
	Q8       *Weights // what they would be with dense matrices in Q8_0; nil where they are already
	Device   *Device  // nil for the CPU alone
	Host     Host
	Context  int // positions per session
	KV       graph.KVType
	Sessions int
}

// Place is where an item lies.
type Place string

// The places.
const (
	OnDevice Place = "device"
	OnHost   Place = "host"
)

// Item is a part of the model with its place.
type Item struct {
	Name  string `json:"name"`
	Place Place  `json:"place"`
	Bytes int64  `json:"bytes"`
}

// Plan is where everything lies.
type Plan struct {
	Device   string `json:"device,omitempty"` // empty for the CPU alone
	Context  int    `json:"context"`
	Sessions int    `json:"sessions"`
	KV       string `json:"kv"`
	Items    []Item `json:"items"`

	DeviceBytes int64 `json:"device_bytes"`
	DeviceLimit int64 `json:"device_limit"`
	HostBytes   int64 `json:"host_bytes"`
	HostLimit   int64 `json:"host_limit"` // 0 where it is not known
	HeapBytes   int64 `json:"heap_bytes"` // of HostBytes, what lies on Go's heap
	Shared      bool  `json:"shared"`     // the device's memory is the host's

	Layers int `json:"layers"`

	// DeviceLayers is how many layers, the first ones, have their experts on
	// the device. Those of the others are computed on the CPU.
	DeviceLayers int `json:"device_layers"`

	// DeviceEmbedding says that the embedding is on the device too.
	DeviceEmbedding bool `json:"device_embedding"`
}

// Total is what the plan takes on device and host together.
func (p *Plan) Total() int64 { return p.DeviceBytes + p.HostBytes }

// New plans. Its error is a [*DoesNotFit].
func New(r Request) (*Plan, error) {
	p, short := r.place()
	if short != nil {
		short.Fits = r.fits()
		return nil, short
	}
	return p, nil
}

// place puts as much on the device as its limit allows, or says what the smallest
// placement lacks.
func (r *Request) place() (*Plan, *DoesNotFit) {
	if r.Device == nil {
		p := r.lay(0, false)
		return p, p.check()
	}
	n := len(r.Weights.Experts)
	if p := r.lay(n, !r.Device.Shared); p.check() == nil {
		return p, nil
	}
	p := r.lay(n, false)
	for ; n > 0 && p.DeviceBytes > p.DeviceLimit; p = r.lay(n, false) {
		n--
	}
	return p, p.check()
}

// lay lays everything out, with the experts of n layers on the device.
func (r *Request) lay(n int, embedding bool) *Plan {
	d, w := r.Device, &r.Weights
	p := &Plan{Context: r.Context, Sessions: r.Sessions, HostLimit: r.Host.Limit, Layers: len(w.Experts)}
	place, kv := OnHost, r.KV.Or(r.Host.KV)
	if d != nil {
		place, kv = OnDevice, r.KV.Or(d.KV)
		p.Device, p.DeviceLimit, p.Shared, p.DeviceLayers, p.DeviceEmbedding = d.Name, d.Limit, d.Shared, n, embedding
	}
	p.KV = kv.String()
	p.add("embedding", map[bool]Place{true: OnDevice, false: OnHost}[embedding], w.Embedding)
	in := ""
	if w.Type == weights.Q8_0 {
		in = " in Q8_0"
	}
	p.add("attention, routers, norms"+in, place, w.Dense)
	p.add(expertsName(n), OnDevice, w.experts(0, n))
	p.add(expertsName(p.Layers-n), OnHost, w.experts(n, p.Layers))
	p.add("unembedding"+in, place, w.Unembedding)
	cache := int64(r.Sessions) * graph.CacheBytes(r.Config, r.Context, kv)
	p.add(cacheName(r.Sessions, r.Context, kv), place, cache)
	p.HeapBytes = r.Host.Program
	if d == nil {
		p.HeapBytes += cache
	}
	if d != nil {
		p.add("registers", OnDevice, d.Work)
		p.add("staging", OnHost, d.Staging)
		p.add("driver", OnHost, d.Driver)
	}
	if n < p.Layers {
		work := r.Host.Work
		if d != nil {
			work = r.Host.Help
		}
		p.add("registers of the CPU", OnHost, work)
		p.HeapBytes += work
	}
	p.add("program", OnHost, r.Host.Program)
	return p
}

func (p *Plan) add(name string, place Place, bytes int64) {
	if bytes == 0 {
		return
	}
	p.Items = append(p.Items, Item{name, place, bytes})
	if place == OnDevice {
		p.DeviceBytes += bytes
	} else {
		p.HostBytes += bytes
	}
}

// hostNeed is what must fit the host's memory.
func (p *Plan) hostNeed() int64 {
	if p.Shared {
		return p.Total()
	}
	return p.HostBytes
}

// check holds the plan against the limits. Where both are exceeded, it reports
// the one that lacks more.
func (p *Plan) check() *DoesNotFit {
	var device, host int64 // bytes too many
	if p.Device != "" {
		device = p.DeviceBytes - p.DeviceLimit
	}
	if p.HostLimit > 0 {
		host = p.hostNeed() - p.HostLimit
	}
	switch {
	case device <= 0 && host <= 0:
		return nil
	case device > host:
		return &DoesNotFit{Place: OnDevice, Device: p.Device, Need: p.DeviceBytes, Limit: p.DeviceLimit}
	default:
		return &DoesNotFit{Place: OnHost, Need: p.hostNeed(), Limit: p.HostLimit}
	}
}
