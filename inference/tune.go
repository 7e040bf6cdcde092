package inference

import (
	"context"
	"math"
	"slices"
	"time"

	"chorale/inference/internal/gpu"
	"chorale/inference/internal/graph"
	"chorale/inference/synth"
)

// tuneModel is a layer of the real models' shape with few experts: what a token
// reads of the products is what it would read there.
var tuneModel = synth.Model{Hidden: 2880, Width: 2880, Layers: 1, Experts: 4, TopK: 4, Heads: 64, KVHeads: 8, Window: 128, Vocab: 2048, Seed: 3}

// tuneTime is how long the profiles of a device are measured, together.
const tuneTime = time.Second

// tuneBatch is how many tokens of a prompt are measured at once.
const tuneBatch = 64

// timeProfiles measures how long decoding a token takes in each profile, and taking
// a prompt in, relative to the base: the geometric mean of the ratios of medians of
// passes that take turns. Software drivers,
// which serve tests, get a smaller model and less time.
func timeProfiles(ctx context.Context, d gpu.Device, profiles []string) (_ map[string]float64, err error) {
	model, bound := tuneModel, tuneTime
	if d.Software {
		model, bound = testModel, tuneTime/10
	}
	c, w, store, err := generated(model)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	states := map[string]graph.State{}
	for _, profile := range profiles {
		b, err := gpu.Open(ctx, d, c, w, gpu.Options{Profile: profile})
		if err != nil {
			return nil, err
		}
		defer b.Close()
		s, err := b.NewState(tuneBatch)
		if err != nil {
			return nil, err
		}
		defer s.Close()
		states[profile] = s
	}
	return takeTurns(ctx, profiles, states, bound)
}

// takeTurns runs batches and single tokens in turns for about as long as it may, and
// at least once after the passes that compile the kernels.
func takeTurns(ctx context.Context, profiles []string, states map[string]graph.State, bound time.Duration) (map[string]float64, error) {
	took := map[string][2][]time.Duration{}
	var end time.Time
	for turn := 0; turn < 2 || time.Now().Before(end); turn++ {
		if turn == 1 {
			end = time.Now().Add(bound)
		}
		for _, profile := range profiles {
			all := took[profile]
			for i, n := range []int{tuneBatch, 1} {
				b := graph.Batch{IDs: make([]uint32, n), Rows: []int{n - 1}}
				for j := range b.IDs {
					b.IDs[j] = uint32((turn + j) % 256)
				}
				start := time.Now()
				if _, err := states[profile].Forward(ctx, b); err != nil {
					return nil, err
				}
				if turn > 0 {
					all[i] = append(all[i], time.Since(start))
				}
			}
			took[profile] = all
		}
	}
	times := map[string]float64{}
	for _, profile := range profiles {
		product := 1.0
		for i, all := range took[profile] {
			product *= float64(median(all)) / float64(median(took[gpu.Base][i]))
		}
		times[profile] = math.Sqrt(product)
	}
	return times, nil
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return max(all[len(all)/2], 1)
}
