package inference

import (
	"errors"
	"slices"
	"testing"

	"chorale/inference/internal/drivers"
)

func TestTestDevice(t *testing.T) {
	drivers.Lavapipe.Use(t)
	r, err := TestDevice(t.Context(), "software")
	if err != nil {
		t.Fatal(err)
	}
	profiles := map[string]bool{}
	for _, row := range r.Tests {
		profiles[row.Profile] = true
		if !row.Passed {
			t.Errorf("%+v", row)
		}
	}
	if !profiles["base"] || !profiles["subgroup"] || len(r.Tests) != 12*len(profiles) {
		t.Errorf("%d rows of %v", len(r.Tests), profiles)
	}
	if !r.Passed || !slices.Equal(r.NotRun, []string{"dot", "matrix"}) {
		t.Errorf("passed: %v, not run: %q", r.Passed, r.NotRun)
	}
	if difference(slices.Repeat([]float32{1}, 8), slices.Repeat([]float32{2}, 8)) != 0.5 {
		t.Error("the difference of 1 and 2 is not half of 2")
	}
	var wrong *ChoiceError
	if _, err := TestDevice(t.Context(), "abacus"); !errors.As(err, &wrong) {
		t.Errorf("no such device: %v", err)
	}
}
