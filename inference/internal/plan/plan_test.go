package plan

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/synth"
)

// request asks for one session of a model's shape on an 80 GB card.
func request(t testing.TB, shape string) Request {
	t.Helper()
	m, err := synth.Parse(shape)
	if err != nil {
		t.Fatal(err)
	}
	c, w := golden.Unloaded(t, m)
	return Request{
		Config: c, Weights: Measure(w), Context: 32768, KV: graph.KVF16, Sessions: 1,
		Device: &Device{Name: "a card", Limit: 80e9, KV: graph.KVF16, Work: 60e6, Staging: 32 << 20},
		Host:   Host{Limit: 64e9, KV: graph.KVF32, Work: 50e6, Program: 60e6},
	}
}

// TestWeights compares with the components of the released models.
func TestWeights(t *testing.T) {
	for shape, want := range map[string]struct{ experts, dense, embedding, unembedding float64 }{
		"20b":  {10.152 + 0.013, 1.274 + 0.004, 1.158, 1.158},
		"120b": {60.914 + 0.080, 1.912 + 0.027, 1.158, 1.158},
	} {
		w := request(t, shape).Weights
		for what, x := range map[string][2]float64{
			"experts":     {float64(w.experts(0, len(w.Experts))), want.experts},
			"dense":       {float64(w.Dense), want.dense},
			"embedding":   {float64(w.Embedding), want.embedding},
			"unembedding": {float64(w.Unembedding), want.unembedding},
		} {
			if math.Abs(x[0]/1e9-x[1]) > 0.001*x[1]+0.001 {
				t.Errorf("%s %s: %.3f GB, want %.3f", shape, what, x[0]/1e9, x[1])
			}
		}
	}
}

// TestSixteen holds 20b with a context of 32k to 16 GB in all, wherever it runs.
func TestSixteen(t *testing.T) {
	r := request(t, "20b")
	for name, d := range map[string]*Device{
		"discrete": {Name: "a card", Limit: 16e9, Work: 60e6, Staging: 32 << 20},
		"shared":   {Name: "an integrated one", Limit: 16e9, Shared: true, Work: 60e6},
		"CPU":      nil,
	} {
		r.Device, r.Host.Limit = d, 16e9
		p, err := New(r)
		if err != nil {
			t.Fatal(err)
		}
		if p.Total() > 16e9 || p.Total() < 13.76e9 {
			t.Errorf("%s: %s in all", name, GB(p.Total()))
		}
		if d != nil && p.DeviceLayers != 24 {
			t.Errorf("%s: the experts of %d layers on the device", name, p.DeviceLayers)
		}
	}
}

// TestOffload takes memory away from a device until nothing fits. Every plan is
// within the limits and puts as much on the device as they allow.
func TestOffload(t *testing.T) {
	r := request(t, "20b")
	layers, embedding := 24, true
	for limit := int64(20e9); ; limit -= 100e6 {
		r.Device.Limit = limit
		p, err := New(r)
		if err != nil {
			if layers != 0 || embedding {
				t.Errorf("at %s the experts of %d layers were on the device: %v", GB(limit), layers, err)
			}
			break
		}
		room := limit - p.DeviceBytes
		switch {
		case room < 0:
			t.Fatalf("%s on a device of %s", GB(p.DeviceBytes), GB(limit))
		case p.DeviceLayers > layers || p.DeviceEmbedding && !embedding:
			t.Fatalf("with less memory, more on the device")
		case p.DeviceLayers < 24 && (p.DeviceEmbedding || room >= r.Weights.Experts[p.DeviceLayers]):
			t.Fatalf("at %s only %d layers, with room for one more", GB(limit), p.DeviceLayers)
		}
		layers, embedding = p.DeviceLayers, p.DeviceEmbedding
	}
}

// TestErrors makes requests that do not fit. The error says by how much, and
// each setting that it names does fit.
func TestErrors(t *testing.T) {
	for name, x := range map[string]struct {
		change func(r *Request)
		place  Place
		fits   []string
	}{
		"cache on a card": {func(r *Request) { r.Context, r.Device.Limit = 131072, 5e9 }, OnDevice, []string{"a context of 100352 (contextTokens: 100352)", "the CPU (device: cpu)"}},
		"many sessions": {func(r *Request) { r.Sessions, r.Device.Limit = 8, 5e9 }, OnDevice,
			[]string{"3 sessions at a time", "a context of 11264 (contextTokens: 11264)", "the CPU (device: cpu)"}},
		"f32": {func(r *Request) { r.KV, r.Context, r.Device.Limit = graph.KVF32, 65536, 5e9 }, OnDevice,
			[]string{"a KV cache in f16 (kv: f16)", "a context of 49152 (contextTokens: 49152)", "the CPU (device: cpu)"}},
		"small machine": {func(r *Request) { r.Device, r.Host.Limit, r.KV, r.Context = nil, 15.5e9, graph.KVF32, 131072 }, OnHost,
			[]string{"a context of 31744 (contextTokens: 31744)"}},
		"hopeless": {func(r *Request) { r.Host.Limit, r.Device.Limit, r.Context = 4e9, 4e9, 2048 }, OnHost, nil},
		"all at once": {func(r *Request) {
			r.Device, r.Host.Limit, r.KV, r.Sessions, r.Context = nil, 14.0e9, graph.KVF32, 8, 8192
		}, OnHost,
			[]string{"one session with a context of 3072 in f16 (contextTokens: 3072, kv: f16)"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, "20b")
			x.change(&r)
			_, err := New(r)
			var short *DoesNotFit
			if !errors.As(err, &short) {
				t.Fatalf("error is %v", err)
			}
			t.Log(err)
			if short.Place != x.place || fmt.Sprint(short.Fits) != fmt.Sprint(x.fits) {
				t.Errorf("%s: would fit: %v, want %v", short.Place, short.Fits, x.fits)
			}
			// With exactly what it lacks, it fits.
			missing := short.Need - short.Limit
			if short.Place == OnDevice {
				r.Device.Limit += missing
			} else {
				r.Host.Limit += missing
			}
			if _, err := New(r); err != nil {
				t.Errorf("with %d bytes more: %v", missing, err)
			}
		})
	}
}

// TestRandom plans for machines of every kind. What comes out keeps the limits
// and adds up; a plan that is refused would not have fitted in any way.
func TestRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 1))
	base := map[string]Request{"20b": request(t, "20b"), "120b": request(t, "120b"), "20b?layers=2": request(t, "20b?layers=2")}
	planned, refused := 0, 0
	for range 300 {
		for shape, r := range base {
			r.Context, r.Sessions = 1+random.IntN(131072), 1+random.IntN(8)
			r.KV = graph.KVType(random.IntN(3))
			r.Host.Limit = random.Int64N(80e9)
			if r.Device = nil; random.IntN(4) > 0 {
				r.Device = &Device{Name: "x", Limit: random.Int64N(80e9), Shared: random.IntN(2) == 0, KV: graph.KVF16, Work: 1e8}
			}
			p, err := New(r)
			if err != nil {
				refused++
				continue
			}
			planned++
			var device, host int64
			for _, i := range p.Items {
				if i.Place == OnDevice {
					device += i.Bytes
				} else {
					host += i.Bytes
				}
			}
			if device != p.DeviceBytes || host != p.HostBytes || device > p.DeviceLimit || p.hostNeed() > r.Host.Limit && r.Host.Limit > 0 {
				t.Fatalf("%s: %+v", shape, p)
			}
		}
	}
	if t.Logf("%d planned, %d refused", planned, refused); planned < 200 || refused < 200 {
		t.Error("one of them is too rare to say anything")
	}
}

func TestWrite(t *testing.T) {
	r := request(t, "20b")
	r.Device.Limit = 8e9
	p, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := p.Write(&out); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	for _, want := range []string{"KV cache, 1 session of 32768 in f16", "experts of 11 layers", "of 8.00 GB", "computed on the CPU: a card has no room"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in it", want)
		}
	}
}
