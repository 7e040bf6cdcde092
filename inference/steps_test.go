package inference

import "testing"

// TestStepsOfConverted holds that steps count the weights as they are read, not as
// they are stored: matrices of 8 bits are 17/32 of bf16.
func TestStepsOfConverted(t *testing.T) {
	reads := func(o Options) (unembedding int64) {
		m := openModel(t, Pocket, o)
		steps, err := m.Steps(1, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if s.Name == "unembedding" {
				unembedding = s.Reads
			}
		}
		return unembedding
	}
	stored, converted := reads(Options{Device: "cpu"}), reads(Options{Device: "cpu", Dense: "q8_0"})
	if stored == 0 || converted != stored/32*17 {
		t.Errorf("the unembedding reads %d bytes, converted %d, want %d", stored, converted, stored/32*17)
	}
}
