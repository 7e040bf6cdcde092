package inference

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"chorale/inference/internal/gpu"
)

// FaultPoints are where a GPU can be made to fail; see Options.Rehearse.
var FaultPoints = gpu.FaultPoints

var faultKinds = map[string]error{"lost": gpu.ErrDeviceLost, "memory": gpu.ErrOutOfMemory, "timeout": gpu.ErrTimeout}

// rehearsal returns the faults that Options.Rehearse asks for, nil for none.
func rehearsal(spec string) (func(point string) error, error) {
	if spec == "" {
		return nil, nil
	}
	point, rest, _ := strings.Cut(spec, ":")
	kind, count, _ := strings.Cut(rest, ":")
	number, onward := strings.CutSuffix(count, "+")
	n, err := strconv.ParseInt(number, 10, 64)
	fault := faultKinds[kind]
	if fault == nil || err != nil || n < 1 || !slices.Contains(FaultPoints, point) {
		return nil, fmt.Errorf("rehearse %q: want POINT:KIND:N or POINT:KIND:N+ with a point of %s, and lost, memory or timeout for the kind",
			spec, strings.Join(FaultPoints, ", "))
	}
	var calls atomic.Int64
	return func(at string) error {
		if at != point {
			return nil
		}
		if i := calls.Add(1); i == n || onward && i > n {
			return fault
		}
		return nil
	}, nil
}
