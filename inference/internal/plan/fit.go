package plan

import (
	"fmt"
	"strings"

	"chorale/inference/internal/graph"
)

// DoesNotFit is the error of a model that is too large for a device or for the
// host, whatever lies where.
type DoesNotFit struct {
	Place       Place
	Device      string // its name; empty for the host
	Need, Limit int64  // bytes

	// Fits are settings each of which would do, in words and as the key of a task
	// or of the configuration; none where nothing but more memory does.
	Fits []string
}

// Error implements error.
func (e *DoesNotFit) Error() string {
	where := "this machine"
	if e.Place == OnDevice {
		where = e.Device
	}
	text := fmt.Sprintf("the model needs at least %s on %s, which has %s for it: %s too much",
		GB(e.Need), where, GB(e.Limit), GB(e.Need-e.Limit))
	if len(e.Fits) == 0 {
		return text + "; no setting would make it fit: take a smaller model, or end other programs"
	}
	return text + "; what would fit: " + strings.Join(e.Fits, ", or ")
}

// leastContext is the smallest context that is worth proposing.
const leastContext = 1024

// fits lists what would fit, one change at a time, or else several at once.
func (r *Request) fits() (all []string) {
	if r.kv() == graph.KVF32 {
		half := *r
		half.KV = graph.KVF16
		if half.ok() {
			all = append(all, "a KV cache in f16 (kv: f16)")
		}
	}
	if r.Q8 != nil {
		rounded := *r
		if rounded.Weights = *r.Q8; rounded.ok() {
			all = append(all, "dense matrices in Q8_0 (dense: q8_0)")
		}
	}
	for n := r.Sessions - 1; n > 0; n-- {
		fewer := *r
		if fewer.Sessions = n; fewer.ok() {
			all = append(all, plural(n, "session")+" at a time")
			break
		}
	}
	if n := r.largestContext(); n > 0 {
		all = append(all, fmt.Sprintf("a context of %d (contextTokens: %d)", n, n))
	}
	if r.Device != nil {
		cpu := *r
		if cpu.Device = nil; cpu.ok() {
			all = append(all, "the CPU (device: cpu)")
		}
	}
	if len(all) == 0 {
		all = r.together()
	}
	return all
}

// together is the largest context that fits in one session with an f16 cache; where
// there is none, with dense matrices in Q8_0 too, and at last on the CPU.
func (r *Request) together() []string {
	least := *r
	least.KV, least.Sessions = graph.KVF16, 1
	for _, least.Device = range []*Device{r.Device, nil} {
		for _, w := range []*Weights{&r.Weights, r.Q8} {
			if w == nil {
				continue
			}
			least.Weights = *w
			n := least.largestContext()
			if least.ok() {
				n = r.Context
			}
			if n == 0 {
				continue
			}
			words, keys := fmt.Sprintf("one session with a context of %d in f16", n), fmt.Sprintf("contextTokens: %d, kv: f16", n)
			if w == r.Q8 {
				words, keys = words+" and dense matrices in Q8_0", keys+", dense: q8_0"
			}
			if least.Device != r.Device {
				words, keys = words+" on the CPU", keys+", device: cpu"
			}
			return []string{words + " (" + keys + ")"}
		}
	}
	return nil
}

// kv is the type that caches will have.
func (r *Request) kv() graph.KVType {
	if r.Device != nil {
		return r.KV.Or(r.Device.KV)
	}
	return r.KV.Or(r.Host.KV)
}

func (r *Request) ok() bool {
	_, short := r.place()
	return short == nil
}

// largestContext is the largest one below the request's that fits, in steps of
// leastContext; 0 where none does.
func (r *Request) largestContext() int {
	low, high := 0, (r.Context-1)/leastContext // low fits, in steps; beyond high nothing is asked
	for low < high {
		smaller := *r
		middle := (low + high + 1) / 2
		if smaller.Context = middle * leastContext; smaller.ok() {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low * leastContext
}
