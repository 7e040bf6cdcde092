package configs

import (
	"fmt"
	"strconv"
	"strings"
)

// units are the names of sizes, those that end in another one's name first.
var units = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"", 1},
}

// parseSize reads a number of bytes: "8GB", "7.5 GiB", "1000000". Empty is 0.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		if n, err := strconv.ParseFloat(strings.TrimSpace(number), 64); err == nil && n > 0 && n*u.bytes < 1<<60 {
			return int64(n * u.bytes), nil
		}
		break
	}
	return 0, fmt.Errorf("%q is no size: want a number of bytes, or one with kB, MB, GB, KiB, MiB or GiB", text)
}
