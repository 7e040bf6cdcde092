package inference

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"chorale/inference/internal/gpu"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
	"chorale/inference/internal/ref"
	"chorale/inference/internal/weights"
	"chorale/inference/synth"
)

// DeviceTest is what became of one kind of operation in one kernel profile of a
// device.
type DeviceTest struct {
	Profile   string  `json:"profile"`
	Operation string  `json:"operation"`
	Error     float64 `json:"error"` // worst, relative to the size of the values
	Tolerance float64 `json:"tolerance"`
	Passed    bool    `json:"passed"`
}

// written says which operation it is that writes a register.
var written = map[graph.Reg]string{
	graph.X: "embedding, output projection, experts", graph.Norm: "RMSNorm", graph.Q: "query and its rotation",
	graph.K: "key and its rotation", graph.V: "value", graph.Ctx: "attention", graph.Router: "router",
	graph.Choice: "choice of experts", graph.Mix: "weights of experts", graph.Last: "choice of rows",
	graph.LastN: "last RMSNorm", graph.Logits: "logits",
}

// DeviceReport is what became of all of them.
type DeviceReport struct {
	Device string       `json:"device"`
	Passed bool         `json:"passed"`
	Tests  []DeviceTest `json:"tests"`
	Slow   []string     `json:"slow"`    // profiles that did not finish in time, and are set aside
	NotRun []string     `json:"not_run"` // profiles that the device lacks the features for
}

// TestDevice runs every operation of a small model in every kernel profile of the
// device that the options name, one token at a time and many, and compares all that
// is written with plain Go on the CPU. What it finds of a GPU is remembered for models
// that are opened on it. It takes seconds. The error says that the device is not
// there, or broke.
func TestDevice(ctx context.Context, o Options) (*DeviceReport, error) {
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	name := strings.ToLower(o.Device)
	switch name {
	case "cpu", "ref":
		return testCPU(ctx)
	case "", "auto":
		if d, err := pick(anyGPU); err == nil {
			return testGPU(ctx, d, o)
		}
		return testCPU(ctx)
	}
	d, err := pick(name)
	if err != nil {
		return nil, err
	}
	return testGPU(ctx, d, o)
}

func testGPU(ctx context.Context, d gpu.Device, o Options) (*DeviceReport, error) {
	profiles, err := gpu.Profiles(d)
	if err != nil {
		return nil, err
	}
	r, found := &DeviceReport{Device: d.String(), Passed: true}, map[string]bool{}
	for _, profile := range gpu.AllProfiles {
		if !slices.Contains(profiles, profile) {
			r.NotRun = append(r.NotRun, profile)
			continue
		}
		rows, err := testProfile(ctx, d, profile, o.Testing)
		switch {
		case errors.Is(err, gpu.ErrTimeout) && profile != gpu.Base:
			r.Slow = append(r.Slow, profile)
			found[profile] = false
		case err != nil:
			return nil, fmt.Errorf("profile %s: %w", profile, err)
		default:
			found[profile] = r.add(rows)
		}
	}
	p := newProver(o)
	return r, p.record(ctx, d, found)
}

// testCPU compares the vector instructions that this build and this processor have
// with plain Go.
func testCPU(ctx context.Context) (*DeviceReport, error) {
	r := &DeviceReport{Device: cpuName(runtime.GOMAXPROCS(0), false), Passed: true}
	for _, k := range kernel.Sets() {
		for _, profile := range []string{gpu.Base, gpu.Dot} {
			bytes, name := profile == gpu.Dot, k.Name
			if k == kernel.Scalar || bytes && !k.HasBytes() {
				continue
			}
			if bytes {
				name = profile
			}
			rows, err := test(ctx, name, gpu.Tolerances[profile], nil, func(c *graph.Config, w *graph.Weights) (graph.Backend, error) {
				return ref.New(c, w, ref.Options{Kernels: k, Bytes: bytes}), nil
			})
			if err != nil {
				return nil, err
			}
			r.add(rows)
		}
	}
	return r, nil
}

// add takes in the tests of a profile, and reports whether it passes.
func (r *DeviceReport) add(rows []DeviceTest) bool {
	passed := !slices.ContainsFunc(rows, func(t DeviceTest) bool { return !t.Passed })
	r.Tests, r.Passed = append(r.Tests, rows...), r.Passed && passed
	return passed
}

// testModel has something of everything, and sizes that no workgroup divides.
var testModel = synth.Model{Hidden: 288, Width: 96, Layers: 1, Experts: 5, TopK: 4, Heads: 8, KVHeads: 1, Window: 7, Vocab: 320, Seed: 2}

// generated makes a synthetic model for tests of a device. The store is to be
// closed.
func generated(model synth.Model) (*graph.Config, *graph.Weights, *weights.Store, error) {
	c, err := graph.ParseConfig(model.Config())
	if err != nil {
		return nil, nil, nil, err
	}
	store, err := model.Weights()
	if err != nil {
		return nil, nil, nil, err
	}
	w, err := graph.Bind(store, c)
	if err != nil {
		return nil, nil, nil, errors.Join(err, store.Close())
	}
	return c, w, store, nil
}

func testProfile(ctx context.Context, d gpu.Device, profile string, tell func(string, int, int)) ([]DeviceTest, error) {
	o := gpu.Options{Profile: profile, KV: graph.KVF32}
	if profile != gpu.Base { // which there is no way around
		o.Patience = time.Minute
	}
	return test(ctx, profile, gpu.Tolerances[profile], tell, func(c *graph.Config, w *graph.Weights) (graph.Backend, error) {
		return gpu.Open(ctx, d, c, w, o)
	})
}

// test compares a backend, which it opens, with plain Go. It says on its way how many
// operations are compared, of how many.
func test(ctx context.Context, profile string, tolerance float64, tell func(profile string, done, total int), open func(*graph.Config, *graph.Weights) (graph.Backend, error)) ([]DeviceTest, error) {
	c, w, store, err := generated(testModel)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	if err := w.Load(ctx); err != nil {
		return nil, err
	}
	b, err := open(c, w)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	oracle := ref.New(c, w, ref.Options{Threads: 1, Kernels: kernel.Scalar})
	defer oracle.Close()
	worst := map[graph.Reg]float64{}
	err = compareBackends(ctx, b, oracle, worst, func(done, total int) {
		if tell != nil {
			tell(profile, done, total)
		}
	})
	if err != nil {
		return nil, err
	}
	var rows []DeviceTest
	for r := range graph.Reg(graph.NumRegs) {
		rows = append(rows, DeviceTest{profile, written[r], worst[r], tolerance, worst[r] <= tolerance})
	}
	return rows, nil
}

// compareBackends notes the worst difference of each register. The last that it tells
// is that all is done, also where an error ends it.
func compareBackends(ctx context.Context, b, oracle graph.Backend, worst map[graph.Reg]float64, tell func(done, total int)) error {
	got, err := b.NewState(128)
	if err != nil {
		return err
	}
	defer got.Close()
	want, err := oracle.NewState(128)
	if err != nil {
		return err
	}
	defer want.Close()
	passes := []struct{ pos, n int }{{0, 1}, {1, 3}, {4, 70}, {74, 1}}
	done, total := 0, 0
	defer func() { tell(total, total) }()
	for _, x := range passes {
		batch := graph.Batch{Pos: x.pos, Rows: []int{x.n - 1}}
		for i := range x.n {
			batch.IDs = append(batch.IDs, uint32((x.pos+i)*37%320))
		}
		var wrote [][]float32
		err := want.Trace(ctx, batch, func(_ graph.Reg, v []float32) { wrote = append(wrote, slices.Clone(v)) })
		if err != nil {
			return err
		}
		total = len(passes) * len(wrote) // each has the same operations
		i := 0
		tell(done, total)
		err = got.Trace(ctx, batch, func(r graph.Reg, v []float32) {
			worst[r] = math.Max(worst[r], difference(v, wrote[i]))
			i++
			if done++; done < total {
				tell(done, total)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// difference is the root of the mean square of the difference to what is wanted,
// by that of what is wanted.
func difference(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var off, size float64
	for i := range want {
		d := float64(got[i]) - float64(want[i])
		off += d * d
		size += float64(want[i]) * float64(want[i])
	}
	if e := math.Sqrt(off / math.Max(size, 1e-20)); !math.IsNaN(e) {
		return e
	}
	return math.MaxFloat32
}
