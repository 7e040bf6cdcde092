package configs

import "testing"

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "1": 1, "8GB": 8e9, "7.5 GiB": 15 << 29, "100 MB": 1e8, "64kB": 64000, "2MiB": 2 << 20, "3KiB": 3072,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"GB", "-1GB", "0", "8 gigs", "1e30GB", "NaN", "8GBB", "x"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}
