package inference

import "chorale/inference/internal/weights"

// availableMemory is what Windows calls available, as far as it may be committed.
func availableMemory() int64 { return weights.AvailableMemory() }
