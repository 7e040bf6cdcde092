// Package inference runs gpt-oss checkpoints: it opens one, keeps each session's
// KV cache, reuses the prefix that a new prompt shares with it, samples, and
// streams token ids. It speaks ids only; text and the Harmony format are the
// caller's.
//
// The model is computed by one of two backends: plain Go on the CPU, or Vulkan,
// which the CPU helps where a device has no room for all of it. A plan says so
// beforehand, see [Plan].
// Nothing is downloaded, and nothing is written but what the self-test of a GPU
// found, in the user's cache.
package inference

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/lookup"
	"chorale/inference/internal/quantise"
	"chorale/inference/internal/schedule"
	"chorale/inference/internal/weights"
)

// Pocket is the reference of the model that is part of the binary.
const Pocket = "pocket"

// DefaultContext is how many positions a session has where Options don't say,
// or fewer where the model takes fewer.
const DefaultContext = 16384

// Options say where and how large a model runs. The zero value is good.
type Options struct {
	// Device chooses the backend:
	//
	//	"", "auto"      the first real GPU, else the CPU with a notice
	//	"cpu", "ref"    the CPU
	//	"vulkan"        the first real GPU, else an error
	//	"software"      the first software driver of Vulkan (for tests)
	//	"vulkan:WHICH"  one by its index, UUID, name or part of the name, software
	//	                drivers too; the prefix may be left out
	Device string

	Context int // positions per session; 0 is DefaultContext
	Threads int // of the CPU backend; 0 is all cores

	// KV is the type of keys and values in the caches: "f32" or "f16". Empty is
	// f16 on a GPU and f32 on the CPU.
	KV string

	// Dense is the type that the dense matrices are converted to while they are
	// loaded: "q8_0" or, for none, empty. It saves a third of what a token of
	// gpt-oss-20b reads, and costs precision.
	Dense string

	// Sessions is how many are to run at the same time, for the plan of what
	// lies where; 0 is one.
	Sessions int

	// Memory bounds what is taken of a GPU's memory, in bytes; 0 is what the
	// GPU has. What does not fit stays on the host.
	Memory int64

	// Patience bounds each wait for a GPU; 0 is a minute, and five for a software
	// driver. One that takes longer is taken to have failed.
	Patience time.Duration

	// Kernels is the kernel profile of a GPU ([DeviceInfo] lists them); empty is
	// the fastest that computes in f32 as the base does. Others round more.
	Kernels string

	// Cache is the folder where it is remembered what the self-test of a GPU
	// found; empty is one among the user's caches.
	Cache string

	// Plain has sessions run one sampled token at a time, without guessing what
	// follows from what was said before. It changes how fast they are, and nothing
	// else. Kernels that round activations always run so.
	Plain bool

	// Read, unless nil, is given the tokenizer when the files have been read and
	// before the weights go anywhere, so that an encoding can be made meanwhile.
	Read func(Tokenizer, error)

	// Notice is told in a sentence what the user may want to know, such as
	// that no GPU was found or that one failed; nil is silence. It may be called
	// at any time while the model is open, from any goroutine.
	Notice func(string)

	// Progress, unless nil, is told now and then how many bytes of the weights
	// have been copied to a device, of how many.
	Progress func(done, total int64)

	// Testing, unless nil, is told how many operations of a kernel profile the
	// self-test of a GPU has compared, of how many. A driver compiles kernels
	// meanwhile, which may take it a minute.
	Testing func(profile string, done, total int)

	// Watch, unless nil, is told how long each operation of a pass took, with the
	// kernel that ran it, from one goroutine at a time. A GPU's operations then
	// wait for each other, and passes take longer.
	Watch func(section, operation, kernel string, took time.Duration)

	// Rehearse has the GPU fail, to see what becomes of a run: POINT:KIND:N is
	// the Nth call at a point ([FaultPoints]), with N+ every later one as well.
	// The kinds are lost, memory and timeout.
	Rehearse string
}

// Model is an open checkpoint on a device. Sessions on it may run at the same
// time.
type Model struct {
	info      Info
	files     files
	said      lookup.Memory
	plain     bool // guesses nothing
	eager     bool // tries every guess, for tests
	config    *graph.Config
	store     *weights.Store
	weights   *graph.Weights // in it, or of what was converted
	dense     *weights.Store // of what was converted; nil where nothing was
	backend   graph.Backend
	scheduler *schedule.Scheduler
	device    atomic.Pointer[device] // what computes now: another one may have taken over

	mu       sync.Mutex // of sessions, and of backend once the model is open
	sessions map[*Session]bool
}

// Info describes an open model.
type Info struct {
	Name       string // last part of the path, or pocket
	Parameters int64
	Bytes      int64       // of the weights as stored
	Backend    string      // ref or vulkan
	Device     string      // in words
	Context    int         // positions per session
	MaxContext int         // positions the model was trained for
	Vocab      int         // rows of logits; the tokenizer may use fewer ids
	Memory     *MemoryPlan // what lies where

	// Stop are the ids that end a turn by generation_config.json, config.json or
	// the GGUF file; none where the checkpoint doesn't say (OpenAI's layout).
	Stop []uint32

	// Dialect is how the model wants Harmony rendered, by harmony_dialect in
	// tokenizer_config.json; empty where the checkpoint doesn't say.
	Dialect string
}

// Open opens a checkpoint: a directory in Hugging Face's layout or OpenAI's own,
// a GGUF file or a directory with one, or the embedded one for "pocket" and "".
// Weights are mapped, not read: what it costs is a check of the files and, on a
// GPU, the upload.
func Open(ctx context.Context, ref string, o Options) (*Model, error) {
	f, err := locate(ref)
	var m *Model
	if err == nil {
		m, err = open(ctx, f, o)
	}
	if err != nil {
		return nil, fmt.Errorf("open model %q: %w", ref, err)
	}
	return m, nil
}

func open(ctx context.Context, f files, o Options) (_ *Model, err error) {
	m, w, err := read(ctx, f, o)
	if err != nil {
		return nil, err
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	if o.Read != nil {
		o.Read(m.Tokenizer())
	}
	if err := m.openDevice(ctx, w, o); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.scheduler = schedule.New(m.backend)
	return m, nil
}

// read opens a model's files, before there is a device for it.
func read(ctx context.Context, f files, o Options) (_ *Model, w *graph.Weights, err error) {
	m := &Model{files: f, plain: o.Plain || o.rounds(), sessions: map[*Session]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if m.store, err = m.files.weights(); err != nil {
		return nil, nil, err
	}
	if m.config, err = m.files.config(m.store); err != nil {
		return nil, nil, err
	}
	if w, err = graph.Bind(m.store, m.config); err != nil {
		return nil, nil, err
	}
	switch strings.ToLower(o.Dense) {
	case "":
	case "q8_0":
		if w, m.dense, err = quantise.Q8(w); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, choice("dense matrices in %q: want q8_0, or nothing for the file's own type", o.Dense)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	m.weights = w
	return m, w, m.describe(w, o)
}

// describe fills in what is known before a device is chosen.
func (m *Model) describe(w *graph.Weights, o Options) error {
	m.info = Info{Name: m.files.name(), MaxContext: m.config.MaxContext, Vocab: m.config.Vocab}
	m.info.Parameters, m.info.Bytes = w.Size()
	switch m.info.Context = o.Context; {
	case o.Context == 0:
		m.info.Context = min(DefaultContext, m.config.MaxContext)
	case o.Context < 0 || o.Context > m.config.MaxContext:
		return choice("a context of %d positions: the model takes 1 to %d", o.Context, m.config.MaxContext)
	}
	var t struct {
		Dialect string `json:"harmony_dialect"`
	}
	if err := m.files.decode("tokenizer_config.json", &t); err != nil {
		return err
	}
	m.info.Dialect = t.Dialect
	var err error
	m.info.Stop, err = m.stop()
	return err
}

// stop returns the ids that end a turn.
func (m *Model) stop() ([]uint32, error) {
	if meta := m.store.Metadata(); meta != nil {
		return ggufStop(meta)
	}
	for _, name := range []string{"generation_config.json", "config.json"} {
		var f struct {
			Stop stopIDs `json:"eos_token_id"`
		}
		if err := m.files.decode(name, &f); err != nil || f.Stop != nil {
			return f.Stop, err
		}
	}
	return nil, nil
}

// stopIDs is one id or a list of them.
type stopIDs []uint32

// UnmarshalJSON implements json.Unmarshaler.
func (s *stopIDs) UnmarshalJSON(b []byte) error {
	var one *uint32
	if json.Unmarshal(b, &one) == nil {
		*s = nil
		if one != nil {
			*s = stopIDs{*one}
		}
		return nil
	}
	return json.Unmarshal(b, (*[]uint32)(s))
}

// Info returns the model's description.
func (m *Model) Info() Info {
	info := m.info
	if d := m.device.Load(); d != nil {
		info.Backend, info.Device, info.Memory = d.kind, d.name, d.memory
	}
	return info
}

// Close closes the sessions that are left, then frees the model. While one of
// them is generating nothing is freed, and the error says so. Closing twice is
// harmless.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for s := range m.sessions {
		err := s.end()
		if errors.Is(err, errGenerating) {
			return fmt.Errorf("close model: %w", err)
		}
		errs = append(errs, err)
	}
	if m.scheduler != nil {
		m.scheduler.Close()
		m.scheduler = nil
	}
	if m.backend != nil {
		errs = append(errs, m.backend.Close())
		m.backend = nil
	}
	if m.dense != nil {
		errs = append(errs, m.dense.Close())
		m.dense = nil
	}
	if m.store != nil {
		errs = append(errs, m.store.Close())
		m.store = nil
	}
	return errors.Join(errs...)
}
