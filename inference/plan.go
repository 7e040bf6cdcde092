package inference

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"chorale/inference/internal/gpu"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/plan"
	"chorale/inference/internal/quantise"
	"chorale/inference/internal/ref"
)

// MemoryPlan is what of a model lies where.
type MemoryPlan = plan.Plan

// DoesNotFit is the error of a model that is too large for where it is to run.
type DoesNotFit = plan.DoesNotFit

// GB writes a number of bytes as people say it; a gigabyte is 1e9 bytes.
func GB(n int64) string { return plan.GB(n) }

// program is about what the process takes beside a model: its code, the
// vocabulary and the heap of a run.
const program = 80e6

// Plan says where everything would lie if the model were opened, and what that
// takes. It reads the files' headers and loads nothing.
func Plan(ctx context.Context, ref string, o Options) (*MemoryPlan, error) {
	f, err := locate(ref)
	if err != nil {
		return nil, fmt.Errorf("plan model %q: %w", ref, err)
	}
	m, w, err := read(ctx, f, o)
	if err != nil {
		return nil, fmt.Errorf("plan model %q: %w", ref, err)
	}
	p, err := m.planWhere(w, o)
	if err = errors.Join(err, m.Close()); err != nil {
		return nil, fmt.Errorf("plan model %q: %w", ref, err)
	}
	return p, nil
}

// planWhere plans for the device that openDevice would take.
func (m *Model) planWhere(w *graph.Weights, o Options) (*MemoryPlan, error) {
	switch name := strings.ToLower(o.Device); name {
	case "cpu", "ref":
		return m.plan(w, nil, o)
	case "", "auto":
		if d, err := pick(anyGPU); err == nil {
			if p, err := m.plan(w, &d, o); err == nil {
				return p, nil
			}
		}
		return m.plan(w, nil, o)
	default:
		d, err := pick(name)
		if err != nil {
			return nil, err
		}
		return m.plan(w, &d, o)
	}
}

// pick returns the GPU that a name means.
func pick(name string) (gpu.Device, error) {
	all, err := gpu.Devices()
	if err != nil {
		return gpu.Device{}, &ChoiceError{err}
	}
	return choose(all, name)
}

// hostMemory is replaced in tests.
var hostMemory = availableMemory

// plan lays the model out for a GPU, or for the CPU where d is nil.
func (m *Model) plan(w *graph.Weights, d *gpu.Device, o Options) (*MemoryPlan, error) {
	kv, err := graph.ParseKVType(o.KV)
	if err != nil {
		return nil, &ChoiceError{err}
	}
	r := plan.Request{
		Config: m.config, Weights: plan.Measure(w), Context: m.info.Context, KV: kv, Sessions: max(o.Sessions, 1),
		Host: plan.Host{Limit: hostMemory() / 10 * 9, KV: graph.KVF32, Program: program,
			Work: ref.WorkBytes(m.config, o.bytesOnCPU()), Help: ref.AloneBytes(m.config, o.bytesOnCPU()) + gpu.CrossingBytes(m.config)},
	}
	if q, store, err := quantise.Q8(w); err == nil && store != nil { // addresses alone, nothing is converted
		defer store.Close()
		q8 := plan.Measure(q)
		r.Q8 = &q8
	}
	if d != nil {
		if r.Device, err = m.planDevice(*d, o, r.Host.Limit); err != nil {
			return nil, err
		}
	}
	p, err := plan.New(r)
	if err != nil {
		return nil, &ChoiceError{err}
	}
	return p, nil
}

// planDevice says what a plan must know of a GPU.
func (m *Model) planDevice(d gpu.Device, o Options, host int64) (*plan.Device, error) {
	limit := o.Memory
	if !d.Software && !d.Shared && d.Memory > 0 { // where it is the device's own, no more than there is
		limit = min(limit, int64(d.Memory))
	}
	if limit == 0 {
		var err error
		if limit, err = gpu.Free(d); err != nil {
			return nil, err
		}
		if d.Software && host > 0 {
			limit = host // what such a driver says of its memory is made up
		}
	}
	profile := o.Kernels
	if profile == "" && d.Software {
		profile = gpu.Texel
	}
	p := &plan.Device{Name: d.Name, Limit: limit, Shared: d.Shared, KV: gpu.DefaultKV, Work: gpu.PassBytes(m.config, profile), Driver: gpu.DriverBytes}
	if !d.Shared {
		p.Staging = gpu.StagingBytes
	}
	return p, nil
}
