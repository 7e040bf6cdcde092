//go:build cgo && (amd64 || arm64)

package gpu

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
)

// small opens a small model on lavapipe.
func small(t *testing.T, adjust func(*profile)) *Backend {
	t.Helper()
	drivers.Lavapipe.Use(t)
	c, w := golden.Synth(t, shapes["plain"])
	b, err := load(t, c, w, adjust)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func forward(t testing.TB, s graph.State, b graph.Batch) []float32 {
	t.Helper()
	logits, err := s.Forward(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(logits)
}

var prompt = graph.Batch{IDs: []uint32{5, 9, 200, 0, 77, 31, 8, 150, 2}, Rows: []int{8}}

// story prefills and decodes, and returns the last logits of each step.
func story(t testing.TB, s graph.State) [][]float32 {
	t.Helper()
	all := [][]float32{forward(t, s, prompt)}
	for i := range 5 {
		all = append(all, forward(t, s, graph.Batch{IDs: []uint32{uint32(11 * i)}, Pos: len(prompt.IDs) + i, Rows: []int{0}}))
	}
	return all
}

func sameStory(t testing.TB, got, want [][]float32) {
	t.Helper()
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("step %d: other logits", i)
		}
	}
}

// alone is the shape of one sequence's decoding.
func alone(s *state) shape {
	return shape{parts: [graph.MaxParts]share{{s, 1}}, rows: 1, told: true}
}

// TestReplay holds decoding to one recording, submitted again for each token.
func TestReplay(t *testing.T) {
	b := small(t, nil)
	s := newState(t, b).(*state)
	defer s.Close()
	story(t, s)
	r := b.pass.recorded[alone(s)]
	if r == nil {
		t.Fatal("decoding left no recording")
	}
	sets := len(b.pass.sets)
	sameStory(t, story(t, s), story(t, s))
	if b.pass.recorded[alone(s)] != r || len(b.pass.sets) != sets {
		t.Error("decoding recorded again")
	}
}

// TestGrow gives a sequence so little room at first that its cache must grow
// under way, and compares it with one that had it all.
func TestGrow(t *testing.T) {
	onLavapipe(t, func(t *testing.T, k products) {
		narrow := small(t, with(k, func(p *profile) { p.slots = 1 }))
		roomy, tight := newState(t, small(t, with(k, nil))), newState(t, narrow).(*state)
		defer roomy.Close()
		defer tight.Close()
		var slots []int
		for pos := 0; pos < 150; pos += 10 {
			b := graph.Batch{IDs: make([]uint32, 10), Pos: pos, Rows: []int{9}}
			for i := range b.IDs {
				b.IDs[i] = uint32((pos + i) * 7 % 200)
			}
			if !slices.Equal(forward(t, tight, b), forward(t, roomy, b)) {
				t.Errorf("position %d: other logits", pos)
			}
			if n := tight.layers[1].slots; len(slots) == 0 || n != slots[len(slots)-1] {
				slots = append(slots, n)
			}
		}
		if !slices.Equal(slots, []int{64, 128, 192}) {
			t.Errorf("the cache had %d slots", slots)
		}
	})
}

// TestSegments cuts a pass at every operation.
func TestSegments(t *testing.T) {
	onLavapipe(t, func(t *testing.T, k products) {
		whole, cut := small(t, with(k, nil)), small(t, with(k, func(p *profile) { p.work = 0 }))
		one, many := newState(t, whole), newState(t, cut).(*state)
		defer one.Close()
		defer many.Close()
		sameStory(t, story(t, many), story(t, one))
		if n := len(many.pass.recorded[alone(many)].segments); n < 10 {
			t.Errorf("%d segments", n)
		}
	})
}

// TestSegmentsOfAttention cuts a pass within attention, where many keys take several
// dispatches: the more keys there are, the more often, and for nothing else.
func TestSegmentsOfAttention(t *testing.T) {
	for name, cut := range map[string]func(*profile){
		"split":  func(p *profile) { p.split = 64 },
		"walked": func(p *profile) { p.segment = 64 },
	} {
		record := func(slots int) (segments int, logits []float32) {
			b := small(t, func(p *profile) {
				cut(p)
				p.work, p.slots = 0, slots
			})
			made, err := b.NewState(1024)
			if err != nil {
				t.Fatal(err)
			}
			defer made.Close()
			logits = forward(t, made, graph.Batch{IDs: make([]uint32, b.chunk), Rows: []int{b.chunk - 1}})
			full := shape{parts: [graph.MaxParts]share{{made.(*state), b.chunk}}, rows: 1, told: true}
			return len(b.pass.recorded[full].segments), logits
		}
		few, want := record(512)
		many, got := record(1024)
		if many < few+2 {
			t.Errorf("%s: %d segments for 512 keys, %d for 1024", name, few, many)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: other logits", name)
		}
	}
}

// canceller is a context that is cancelled when it has been asked n times.
type canceller struct {
	context.Context
	left int
}

func (c *canceller) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestCancel(t *testing.T) {
	b := small(t, func(p *profile) { p.work = 0 })
	s := newState(t, b)
	defer s.Close()
	want := story(t, s)
	for n := range 12 {
		if _, err := s.Forward(&canceller{context.Background(), n}, prompt); !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled after %d looks: %v", n, err)
		}
	}
	sameStory(t, story(t, s), want)
}

func TestRefusals(t *testing.T) {
	b := small(t, nil)
	for _, context := range []int{0, -1, 1 << 40} {
		if _, err := b.NewState(context); err == nil {
			t.Errorf("a context of %d was taken", context)
		}
	}
	s := newState(t, b)
	for _, bad := range []graph.Batch{
		{}, {IDs: []uint32{201}}, {IDs: []uint32{1}, Pos: 150}, {IDs: []uint32{1}, Pos: -1}, {IDs: []uint32{1}, Rows: []int{1}},
		{IDs: make([]uint32, b.Chunk()+1)},
	} {
		if _, err := s.Forward(context.Background(), bad); err == nil {
			t.Errorf("batch %v was taken", bad)
		}
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}

	devices, err := Devices()
	if err != nil {
		t.Fatal(err)
	}
	gone := devices[0]
	gone.UUID = "00000000000000000000000000000000"
	if _, err := Open(t.Context(), gone, b.config, b.weights, Options{}); err == nil {
		t.Error("a device that is not there was opened")
	}
	other := *b.config
	other.HeadDim = 128
	if _, err := Open(t.Context(), devices[0], &other, b.weights, Options{}); err == nil {
		t.Error("heads of 128 were taken")
	}
	if _, err := load(t, b.config, b.weights, func(p *profile) { p.window = 1000 }); err == nil {
		t.Error("an expert larger than a binding was taken")
	}
}

// TestStaged loads a whole model through staging buffers, as where the host
// cannot see the device's memory.
func TestStaged(t *testing.T) {
	run := func(b *Backend) [][]float32 {
		s := newState(t, b)
		defer s.Close()
		return story(t, s)
	}
	want := run(small(t, nil))
	sameStory(t, run(small(t, func(p *profile) { p.staged = true })), want)
}

// TestStaging sends more bytes than both staging buffers hold.
func TestStaging(t *testing.T) {
	b := small(t, nil)
	data := make([]byte, 2*staging+12345)
	for i := range data {
		data[i] = byte(i * 7919 >> 5)
	}
	to, err := b.device.NewBuffer(len(data)+100, vk.Local)
	if err != nil {
		t.Fatal(err)
	}
	u := &uploader{ctx: t.Context(), device: b.device, patience: time.Minute}
	for at := 0; at < len(data); at += staging {
		n := min(staging, len(data)-at)
		if err := u.send(to, 100+at, n, func(dst []byte) { copy(dst, data[at:]) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.finish(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(to.Bytes()[100:], data) {
		t.Error("other bytes arrived")
	}
}

// BenchmarkPocket measures the embedded model on lavapipe: decoding, and
// prefilling in full chunks.
func BenchmarkPocket(b *testing.B) {
	drivers.Lavapipe.Use(b)
	devices, err := Devices()
	if err != nil {
		b.Fatal(err)
	}
	c, w := golden.Open(b, "../../pocket")
	model, err := Open(b.Context(), devices[0], c, w, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer model.Close()
	s, err := model.NewState(2048)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for name, n := range map[string]int{"decode": 1, "prefill": model.Chunk()} {
		b.Run(name, func(b *testing.B) {
			forward(b, s, graph.Batch{IDs: make([]uint32, 300)})
			batch := graph.Batch{IDs: make([]uint32, n), Pos: 300, Rows: []int{n - 1}}
			for i := range batch.IDs {
				batch.IDs[i] = uint32(i * 7919 % c.Vocab)
			}
			forward(b, s, batch)
			start := time.Now()
			for b.Loop() {
				forward(b, s, batch)
			}
			b.ReportMetric(float64(n*b.N)/time.Since(start).Seconds(), "tokens/s")
		})
	}
}

// TestCancelUpload ends the upload at each of its steps.
func TestCancelUpload(t *testing.T) {
	b := small(t, nil)
	devices, err := Devices()
	if err != nil {
		t.Fatal(err)
	}
	steps, whole := 0, false
	for stop := 1; !whole; stop++ {
		ctx, cancel := context.WithCancel(t.Context())
		steps = 0
		model, err := Open(ctx, devices[0], b.config, b.weights, Options{Validate: true, Progress: func(done, total int64) {
			if steps++; steps == stop {
				cancel()
			}
			whole = done == total
		}})
		switch {
		case whole && err != nil, !whole && !errors.Is(err, context.Canceled):
			t.Fatalf("cancelled after %d steps: %v", stop, err)
		case err == nil:
			model.Close()
		}
		cancel()
	}
	if steps < 20 {
		t.Errorf("the upload took %d steps", steps)
	}
}

// BenchmarkTogether measures sequences that share passes on lavapipe: of the
// embedded model, and of a layer of gpt-oss-20b's shape with part of the
// vocabulary.
func BenchmarkTogether(b *testing.B) {
	drivers.Lavapipe.Use(b)
	golden.Together(b, func(c *graph.Config, w *graph.Weights) (graph.Backend, error) {
		return Open(b.Context(), only(b), c, w, Options{Profile: Texel})
	})
}
