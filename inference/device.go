package inference

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"chorale/inference/internal/durable"
	"chorale/inference/internal/gpu"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/ref"
)

// device is what computes, in words, and what lies where then.
type device struct {
	kind, name string
	memory     *MemoryPlan
}

// openDevice loads the model on the device that o names. The model's
// description follows the device where another one takes over.
func (m *Model) openDevice(ctx context.Context, w *graph.Weights, o Options) error {
	switch name := strings.ToLower(o.Device); {
	case name == "cpu" || name == "ref":
		return m.openCPU(ctx, w, o)
	case name == "" || name == "auto":
		err := m.openVulkan(ctx, "vulkan", w, o)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if err := m.openCPU(ctx, w, o); err != nil {
			return err
		}
		o.Notice(fmt.Sprintf("No GPU: %v. The model runs on the %s.", err, m.Info().Device))
		return nil
	default:
		return m.openVulkan(ctx, name, w, o)
	}
}

// openCPU puts the model on the CPU, if it fits.
func (m *Model) openCPU(ctx context.Context, w *graph.Weights, o Options) (err error) {
	m.backend, err = m.newCPU(ctx, w, o)
	return err
}

// takeOver puts the model on the CPU where a GPU has failed. Caches whose type is left
// open were in f16 there, and may be so here where f32 does not fit.
func (m *Model) takeOver(ctx context.Context, w *graph.Weights, o Options) (graph.Backend, error) {
	b, err := m.newCPU(ctx, w, o)
	var short *DoesNotFit
	if errors.As(err, &short) && o.KV == "" {
		o.KV = gpu.DefaultKV.String()
		b, err = m.newCPU(ctx, w, o)
	}
	if errors.As(err, &short) {
		return nil, fmt.Errorf("the CPU cannot take over: %w", short)
	}
	return b, err
}

// newCPU makes the CPU's backend, if the model fits, and describes the model as running
// on it.
func (m *Model) newCPU(ctx context.Context, w *graph.Weights, o Options) (graph.Backend, error) {
	p, err := m.plan(w, nil, o)
	if err != nil {
		return nil, err
	}
	if err := w.Load(ctx); err != nil {
		return nil, err
	}
	kv, err := graph.ParseKVType(o.KV)
	if err != nil {
		return nil, err
	}
	n := o.Threads
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	if o.Kernels == gpu.Dot && !ref.HasBytes() {
		o.Notice("This processor has no products of bytes (AVX512-VNNI), or this build does not use them: kernels multiply numbers.")
	}
	m.device.Store(&device{"ref", cpuName(n, o.bytesOnCPU()), p})
	return ref.New(m.config, w, ref.Options{Threads: n, KV: kv, Watch: o.Watch, Bytes: o.bytesOnCPU()}), nil
}

// bytesOnCPU reports whether the CPU rounds activations to bytes: where that is asked
// for, and the processor is faster for it.
func (o *Options) bytesOnCPU() bool { return o.Kernels == gpu.Dot && ref.HasBytes() }

// rounds reports whether kernels are asked for that round activations. What they make
// of a token may depend on how many a pass has, so a guess could change what is said.
func (o *Options) rounds() bool { return gpu.Tolerances[o.Kernels] > gpu.Tolerances[gpu.Base] }

func cpuName(threads int, bytes bool) string {
	kernels := ref.Kernels()
	if bytes {
		kernels += ", bytes"
	}
	return fmt.Sprintf("CPU (%d threads, %s)", threads, kernels)
}

// openVulkan loads the model on the GPU that a name means, with the CPU to take
// over where the GPU fails for the second time.
func (m *Model) openVulkan(ctx context.Context, name string, w *graph.Weights, o Options) error {
	inject, err := rehearsal(o.Rehearse)
	if err != nil {
		return err
	}
	defer gpu.Stay()()
	d, err := pick(name)
	if err != nil {
		return err
	}
	p, err := m.plan(w, &d, o)
	if err != nil {
		return err
	}
	if n := p.Layers - p.DeviceLayers; n > 0 {
		o.Notice(fmt.Sprintf("The experts of %d of %d layers are computed on the CPU: %s has no room for them.", n, p.Layers, d.Name))
	}
	b, err := durable.Open(ctx, durable.Options{
		Open: func(ctx context.Context) (graph.Backend, error) {
			m.device.Store(&device{"vulkan", d.String(), p})
			return m.openPlanned(ctx, d, w, p, o, inject)
		},
		Fallback: func(ctx context.Context) (graph.Backend, error) { return m.takeOver(ctx, w, o) },
		Failed:   failed,
		Changed: func(cause error, fallback bool) {
			what := "It was set up anew, and the run goes on."
			if fallback {
				what = "The run goes on, on the " + m.Info().Device + "."
			}
			o.Notice(fmt.Sprintf("The GPU failed: %v. %s", cause, what))
		},
	})
	if err == nil {
		m.backend = b
	}
	return err
}

// openPlanned loads the model on a GPU as planned, with the CPU to compute what
// stays on the host.
func (m *Model) openPlanned(ctx context.Context, d gpu.Device, w *graph.Weights, p *MemoryPlan, o Options, inject func(string) error) (graph.Backend, error) {
	kv, err := graph.ParseKVType(o.KV)
	if err != nil {
		return nil, err
	}
	profile, err := chooseKernels(ctx, d, o)
	if err != nil {
		return nil, err
	}
	pipelines, err := deviceFile(o.Cache, d, ".pipelines")
	if err != nil {
		pipelines = "" // there is no place for it
	}
	g := gpu.Options{Profile: profile, Pipelines: pipelines, KV: kv, Progress: o.Progress, Patience: o.Patience, Inject: inject, Watch: o.Watch,
		HostEmbedding: !p.DeviceEmbedding, HostLayers: p.Layers - p.DeviceLayers}
	if !g.HostEmbedding && g.HostLayers == 0 {
		return gpu.Open(ctx, d, m.config, w, g)
	}
	if err := w.LoadHost(ctx, g.HostLayers); err != nil {
		return nil, err
	}
	helper := ref.New(m.config, w, ref.Options{Threads: o.Threads, Bytes: o.bytesOnCPU()})
	g.Host = helper
	b, err := gpu.Open(ctx, d, m.config, w, g)
	if err != nil {
		return nil, errors.Join(err, helper.Close())
	}
	return helped{b, helper}, nil
}

// helped is a GPU's backend, and the CPU's that computes a part of every pass.
type helped struct {
	graph.Backend
	helper *ref.Backend
}

// Close closes both.
func (h helped) Close() error { return errors.Join(h.Backend.Close(), h.helper.Close()) }

// failed reports whether an error means that a GPU is of no more use.
func failed(err error) bool {
	return errors.Is(err, errWrong) || errors.Is(err, gpu.ErrDeviceLost) || errors.Is(err, gpu.ErrOutOfMemory) || errors.Is(err, gpu.ErrTimeout)
}
