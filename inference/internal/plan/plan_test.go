package plan

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/quantise"
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
	q, store, err := quantise.Q8(w)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	q8 := Measure(q)
	return Request{
		Config: c, Weights: Measure(w), Q8: &q8, Context: 32768, KV: graph.KVF16, Sessions: 1,
		Device: &Device{Name: "a card", Limit: 80e9, KV: graph.KVF16, Work: 60e6, Staging: 32 << 20},
		Host:   Host{Limit: 64e9, KV: graph.KVF32, Work: 150e6, Help: 50e6, Program: 60e6},
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

// TestErrors makes requests that do not fit. The error says by how much, and what
// would fit.
func TestErrors(t *testing.T) {
	const q8, cpu = "dense matrices in Q8_0 (dense: q8_0)", "the CPU (device: cpu)"
	for name, x := range map[string]struct {
		change func(r *Request)
		place  Place
		fits   []string
	}{
		"cache on a card": {func(r *Request) { r.Context, r.Device.Limit = 131072, 5e9 }, OnDevice,
			[]string{q8, "a context of 100352 (contextTokens: 100352)", cpu}},
		"in Q8_0 already": {func(r *Request) { r.Context, r.Device.Limit, r.Q8 = 131072, 5e9, nil }, OnDevice,
			[]string{"a context of 100352 (contextTokens: 100352)", cpu}},
		"many sessions": {func(r *Request) { r.Sessions, r.Device.Limit = 8, 5e9 }, OnDevice,
			[]string{"3 sessions at a time", "a context of 11264 (contextTokens: 11264)", cpu}},
		"f32": {func(r *Request) { r.KV, r.Context, r.Device.Limit = graph.KVF32, 65536, 5e9 }, OnDevice,
			[]string{"a KV cache in f16 (kv: f16)", q8, "a context of 49152 (contextTokens: 49152)", cpu}},
		"small machine": {func(r *Request) { r.Device, r.Host.Limit, r.KV, r.Context = nil, 15.5e9, graph.KVF32, 131072 }, OnHost,
			[]string{"a context of 29696 (contextTokens: 29696)"}},
		"dense matrices": {func(r *Request) { r.Host.Limit, r.Device.Limit, r.Context = 12e9, 2e9, 2048 }, OnDevice, []string{q8}},
		"hopeless":       {func(r *Request) { r.Host.Limit, r.Device.Limit, r.Context = 4e9, 4e9, 2048 }, OnHost, nil},
		"all at once": {func(r *Request) {
			r.Device, r.Host.Limit, r.KV, r.Sessions, r.Context = nil, 14.1e9, graph.KVF32, 8, 8192
		}, OnHost,
			[]string{"one session with a context of 3072 in f16 (contextTokens: 3072, kv: f16)"}},
		"with dense matrices": {func(r *Request) {
			r.Device, r.Host.Limit, r.KV, r.Sessions, r.Context = nil, 13.0e9, graph.KVF32, 8, 8192
		}, OnHost,
			[]string{"one session with a context of 5120 in f16 and dense matrices in Q8_0 (contextTokens: 5120, kv: f16, dense: q8_0)"}},
		"on the CPU": {func(r *Request) { r.Device.Limit, r.Host.Limit, r.Context = 1e9, 14.1e9, 131072 }, OnDevice,
			[]string{"one session with a context of 3072 in f16 on the CPU (contextTokens: 3072, kv: f16, device: cpu)"}},
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

// TestNamed makes requests that do not fit, at random. Each setting that an error
// names is applied as it is written and fits, more of it does not; those that are not
// named do not fit, and where none is, not all of them together.
func TestNamed(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 2))
	var base []Request
	for _, shape := range []string{"20b", "120b", "20b?layers=2", "20b?layers=41"} {
		base = append(base, request(t, shape))
	}
	fits := func(r Request) bool { _, err := New(r); return err == nil }
	named := map[string]int{}
	for range 1200 {
		r := base[random.IntN(len(base))]
		r.Context, r.Sessions, r.KV = 1+random.IntN(1<<(7+random.IntN(11))), 1+random.IntN(4), graph.KVType(random.IntN(3))
		if random.IntN(4) == 0 {
			r.Weights, r.Q8 = *r.Q8, nil
		}
		if r.Device = nil; random.IntN(3) > 0 {
			r.Device = &Device{Name: "x", Shared: random.IntN(2) == 0, KV: graph.KVF16, Work: 1e8}
			r.Device.Limit = r.lay(random.IntN(len(r.Weights.Experts)), false).DeviceBytes * int64(50+random.IntN(60)) / 100
		}
		r.Host.Limit = r.lay(0, false).Total() * int64(60+random.IntN(50)) / 100
		_, err := New(r)
		if err == nil {
			continue
		}
		var short *DoesNotFit
		if !errors.As(err, &short) {
			t.Fatal(err)
		}
		keys := map[string]bool{}
		for _, text := range short.Fits {
			if !fits(apply(t, r, text, 0, keys)) {
				t.Fatalf("%q does not fit %+v", text, r)
			}
			more := apply(t, r, text, 1, keys)
			less := strings.Contains(text, "contextTokens") && more.Context < r.Context || strings.Contains(text, "at a time") && more.Sessions < r.Sessions
			if less && fits(more) {
				t.Fatalf("%q, and more would fit %+v", text, r)
			}
		}
		for key := range keys {
			named[key]++
		}
		change := func(c func(*Request)) Request { x := r; c(&x); return x }
		one := map[string]Request{
			"kv":       change(func(x *Request) { x.KV = graph.KVF16 }),
			"sessions": change(func(x *Request) { x.Sessions = 1 }),
			"device":   change(func(x *Request) { x.Device = nil }),
		}
		least := change(func(x *Request) { x.KV, x.Sessions, x.Context = graph.KVF16, 1, min(x.Context, leastContext) })
		all := []Request{least}
		if r.Q8 != nil {
			one["dense"] = change(func(x *Request) { x.Weights = *x.Q8 })
			least.Weights = *r.Q8
			all = append(all, least)
		}
		if r.Context > leastContext {
			one["contextTokens"] = change(func(x *Request) { x.Context = leastContext })
		}
		for key, x := range one {
			if fits(x) && !keys[key] {
				t.Fatalf("%s would fit and is not among %q: %+v", key, short.Fits, r)
			}
		}
		if short.Fits != nil {
			continue
		}
		named["none"]++
		for _, x := range all {
			if fits(x) {
				t.Fatalf("nothing is named, and %+v would fit", x)
			}
			if x.Device = nil; fits(x) {
				t.Fatalf("nothing is named, and %+v would fit", x)
			}
		}
	}
	t.Log(named)
	for _, key := range []string{"kv", "dense", "sessions", "contextTokens", "device", "none"} {
		if named[key] < 20 {
			t.Errorf("%q is too rare to say anything", key)
		}
	}
}

var (
	sessions = regexp.MustCompile(`^(\d+|one) session`)
	setting  = regexp.MustCompile(`(\w+): (\w+)`)
)

// apply changes a request as an error says, or one step beyond where that goes by
// steps, and notes which settings it changed.
func apply(t *testing.T, r Request, text string, beyond int, keys map[string]bool) Request {
	t.Helper()
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if m := sessions.FindStringSubmatch(text); m != nil {
		keys["sessions"] = true
		if r.Sessions = 1; m[1] != "one" {
			r.Sessions = number(m[1]) + beyond
		}
	}
	for _, m := range setting.FindAllStringSubmatch(text, -1) {
		keys[m[1]] = true
		switch m[1] + ": " + m[2] {
		case "kv: f16":
			r.KV = graph.KVF16
		case "dense: q8_0":
			r.Weights, r.Q8 = *r.Q8, nil
		case "device: cpu":
			r.Device = nil
		case "contextTokens: " + m[2]:
			r.Context = number(m[2]) + beyond*leastContext
		default:
			t.Fatalf("%q changes something unknown", text)
		}
	}
	return r
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
	for _, want := range []int64{r.Host.Help, r.Host.Work} {
		i := slices.IndexFunc(p.Items, func(i Item) bool { return i.Name == "registers of the CPU" })
		if i < 0 || p.Items[i].Bytes != want {
			t.Errorf("registers of the CPU: %d bytes are wanted of %+v", want, p.Items)
		}
		r.Device = nil
		if p, err = New(r); err != nil {
			t.Fatal(err)
		}
	}
}
