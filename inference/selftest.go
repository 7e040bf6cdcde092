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
	"chorale/inference/internal/quantise"
	"chorale/inference/internal/ref"
	"chorale/inference/internal/sample"
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

// TestDevice runs every operation of small models in every kernel profile of the
// device that the options name, one token at a time and many, and compares all that
// is written, and what tokens are chosen, with plain Go on the CPU. What it finds of a GPU is remembered for models
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
			rows, err := test(ctx, name, gpu.Tolerances[profile], nil, func(c *graph.Config, w *graph.Weights, kv graph.KVType) (graph.Backend, error) {
				return ref.New(c, w, ref.Options{Kernels: k, Bytes: bytes, KV: kv}), nil
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

// testModel has experts to choose among, several KV heads, and sizes that no workgroup
// divides.
var testModel = synth.Model{Hidden: 288, Width: 96, Layers: 1, Experts: 5, TopK: 4, Heads: 8, KVHeads: 4, Window: 7, Vocab: 320, Seed: 2}

// round is a model, and how it is run.
type round struct {
	name   string // behind those of operations
	model  synth.Model
	kv     graph.KVType
	q8     bool    // dense matrices in Q8_0
	slack  float64 // how far registers may be off beside what the profile may, relative
	passes []span
}

// span is a pass over n tokens from a position on.
type span struct{ pos, n int }

// rounds are what each profile goes through: a layer with a window, and experts; and
// attention to all positions, more than a workgroup takes, with what may be chosen to be
// small. Drivers round to f16 in either direction, which could bring another expert
// first: there is one there.
var rounds = []round{
	{"", testModel, graph.KVF32, false, 0, []span{{0, 1}, {1, 3}, {4, 70}, {74, 1}}},
	{"; f16, Q8_0", synth.Model{Hidden: 288, Width: 96, Layers: 2, Experts: 1, TopK: 1, Heads: 8, KVHeads: 1, Window: 7, Vocab: 320, Seed: 3},
		graph.KVF16, true, 4e-3, []span{{0, 1}, {1, 3}, {4, 260}, {264, 1}}},
}

// testContext has room for the passes of rounds.
const testContext = 320

// batch returns the tokens of a pass.
func (s span) batch() graph.Batch {
	b := graph.Batch{Pos: s.pos, Rows: []int{s.n - 1}}
	for i := range s.n {
		b.IDs = append(b.IDs, uint32((s.pos+i)*37%320))
	}
	return b
}

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
	o := gpu.Options{Profile: profile}
	if profile != gpu.Base { // which there is no way around
		o.Patience = time.Minute
	}
	return test(ctx, profile, gpu.Tolerances[profile], tell, func(c *graph.Config, w *graph.Weights, kv graph.KVType) (graph.Backend, error) {
		o.KV = kv
		return gpu.Open(ctx, d, c, w, o)
	})
}

// opener makes the backend that is tested.
type opener = func(c *graph.Config, w *graph.Weights, kv graph.KVType) (graph.Backend, error)

// test compares a backend with plain Go in each round. It says on its way how many
// operations are compared, of how many; the last that it tells is that all are, also
// where an error ends it.
func test(ctx context.Context, profile string, tolerance float64, tell func(profile string, done, total int), open opener) ([]DeviceTest, error) {
	done, total := 0, 0
	compared := func(n int) {
		if done = min(done+n, total); tell != nil {
			tell(profile, done, total)
		}
	}
	var all []*answers
	for _, t := range rounds {
		a, err := t.answers(ctx)
		if err != nil {
			return nil, err
		}
		defer a.close()
		all = append(all, a)
		for _, p := range a.wrote {
			total += len(p)
		}
	}
	compared(0)
	defer func() { compared(total) }()
	var rows []DeviceTest
	for _, a := range all {
		worst, missed, err := a.compare(ctx, open, compared)
		if err != nil {
			return nil, err
		}
		most := tolerance + a.slack
		for r := range graph.Reg(graph.NumRegs) {
			if r == graph.Router && a.config.Experts == 1 {
				continue // one number, perhaps close to zero, that decides nothing
			}
			rows = append(rows, DeviceTest{profile, written[r] + a.name, worst[r], most, worst[r] <= most})
		}
		rows = append(rows, DeviceTest{profile, "choice of tokens" + a.name, missed, 0, missed == 0})
	}
	return rows, nil
}

// answers are a round's model, and what plain Go writes in its passes, operation by
// operation.
type answers struct {
	*round
	config  *graph.Config
	weights *graph.Weights
	stores  []*weights.Store
	wrote   [][][]float32
}

func (a *answers) close() {
	for _, s := range a.stores {
		s.Close()
	}
}

func (t *round) answers(ctx context.Context) (_ *answers, err error) {
	a := &answers{round: t}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	c, w, store, err := generated(t.model)
	if err != nil {
		return nil, err
	}
	a.config, a.weights, a.stores = c, w, append(a.stores, store)
	if t.q8 {
		if a.weights, store, err = quantise.Q8(w); err != nil {
			return nil, err
		}
		a.stores = append(a.stores, store)
	}
	if err := a.weights.Load(ctx); err != nil {
		return nil, err
	}
	oracle := ref.New(c, a.weights, ref.Options{Kernels: kernel.Scalar, KV: t.kv})
	defer oracle.Close()
	s, err := oracle.NewState(testContext)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for _, p := range t.passes {
		var wrote [][]float32
		err := s.Trace(ctx, p.batch(), func(_ graph.Reg, v []float32) { wrote = append(wrote, slices.Clone(v)) })
		if err != nil {
			return nil, err
		}
		a.wrote = append(a.wrote, wrote)
	}
	return a, nil
}

// compare returns the worst difference of each register, and which part of the tokens
// that the backend chooses is not what it should be. It tells of each operation.
func (a *answers) compare(ctx context.Context, open opener, compared func(n int)) (worst [graph.NumRegs]float64, missed float64, err error) {
	b, err := open(a.config, a.weights, a.kv)
	if err != nil {
		return worst, 0, err
	}
	defer b.Close()
	s, err := b.NewState(testContext)
	if err != nil {
		return worst, 0, err
	}
	defer s.Close()
	for i, p := range a.passes {
		n := 0
		err := s.Trace(ctx, p.batch(), func(r graph.Reg, v []float32) {
			worst[r] = math.Max(worst[r], difference(v, a.wrote[i][n]))
			n++
			compared(1)
		})
		if err != nil {
			return worst, 0, err
		}
	}
	missed, err = missedTokens(ctx, b, a.config.Vocab)
	return worst, missed, err
}

// samplings are the ways to choose: the likeliest token, one of all, and one of the
// likely ones.
var samplings = []sample.Params{{}, {Temperature: 1, Seed: 1}, {Temperature: 1, TopK: 40, TopP: 0.9, Seed: 2}}

// missedTokens has a backend choose tokens in each way, and returns which part of them
// is not what the CPU chooses of the backend's own logits.
func missedTokens(ctx context.Context, b graph.Backend, vocab int) (float64, error) {
	batch := span{0, 4 * len(samplings)}.batch()
	batch.Rows = nil
	var draws []sample.Draw
	for i := range batch.IDs {
		s, err := sample.New(samplings[i%len(samplings)], vocab)
		if err != nil {
			return 0, err
		}
		batch.Rows, draws = append(batch.Rows, i), append(draws, s.Draw(uint64(i), nil))
	}
	told := graph.Part{Batch: batch, Logits: make([]float32, len(draws)*vocab)}
	drawn := graph.Part{Batch: batch, Draws: draws, Tokens: make([]uint32, len(draws))}
	for _, p := range []*graph.Part{&told, &drawn} {
		s, err := b.NewState(testContext)
		if err != nil {
			return 0, err
		}
		defer s.Close()
		p.State = s
		if err := b.Forward(ctx, []graph.Part{*p}); err != nil {
			return 0, err
		}
	}
	var chooser sample.Chooser
	missed := 0
	for i := range draws {
		if id, err := chooser.Choose(&draws[i], told.Logits[i*vocab:][:vocab]); err != nil || id != drawn.Tokens[i] {
			missed++
		}
	}
	return float64(missed) / float64(len(draws)), nil
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
