package inference

import (
	"context"
	"errors"
	"strings"
	"testing"

	"chorale/inference/internal/gpu"
)

func TestChoose(t *testing.T) {
	soft := gpu.Device{Index: 0, UUID: "6d657361000000000000000000000000", Name: "llvmpipe (LLVM 19)", Kind: "software", Software: true}
	small := gpu.Device{Index: 1, UUID: "00000000000000000000000000000001", Name: "Intel Arc", Kind: "integrated"}
	big := gpu.Device{Index: 2, UUID: "0000000000000000000000000000abcd", Name: "AMD Radeon 7900", Kind: "discrete"}
	twin := gpu.Device{Index: 3, UUID: "0000000000000000000000000000abce", Name: "AMD Radeon 7900 XT", Kind: "discrete"}
	all := []gpu.Device{soft, small, big, twin}
	for _, c := range []struct {
		name string
		all  []gpu.Device
		want int // index; or
		err  string
	}{
		{"vulkan", all, 1, ""},
		{"software", all, 0, ""},
		{"vulkan:2", all, 2, ""},
		{"2", all, 2, ""},
		{"vulkan:0", all, 0, ""},
		{"0000000000000000000000000000abce", all, 3, ""},
		{"vulkan:00000000-0000-0000-0000-00000000abcd", all, 2, ""},
		{"vulkan:amd radeon 7900", all, 2, ""}, // the whole name of one, a part of another's
		{"7900 xt", all, 3, ""},
		{"llvmpipe", all, 0, ""},
		{"vulkan:radeon", all, 0, "ambiguous"},
		{"radeon", all, 0, "vulkan:3  0000000000000000000000000000abce  AMD Radeon 7900 XT"},
		{"vulkan:4", all, 0, "there is no device"},
		{"-1", all, 0, "there is no device"},
		{"vulkan:nvidia", all, 0, "vulkan:1"},
		{"0000000000000000000000000000ffff", all, 0, "there is no device"},
		{"vulkan:", all, 0, "there is no device"},
		{"vulkan", []gpu.Device{soft}, 0, "only software drivers"},
		{"software", []gpu.Device{big}, 0, "no software driver"},
		{"vulkan", nil, 0, "no device"},
		{"radeon", nil, 0, "of which there is none"},
	} {
		d, err := choose(c.all, c.name)
		switch {
		case c.err == "" && (err != nil || d.Index != c.want):
			t.Errorf("%s: device %d, %v; want %d", c.name, d.Index, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: device %d, %v; want an error of %q", c.name, d.Index, err, c.err)
		}
	}
}

// TestWrongChoices holds that asking for what is not there is told from a model
// that is broken.
func TestWrongChoices(t *testing.T) {
	for name, open := range map[string]func() error{
		"model": func() error { _, err := Open(context.Background(), "/nowhere/at/all", Options{}); return err },
		"device": func() error {
			_, err := Open(context.Background(), Pocket, Options{Device: "no such device"})
			return err
		},
		"context": func() error { _, err := Open(context.Background(), Pocket, Options{Context: 1 << 30}); return err },
	} {
		var wrong *ChoiceError
		if err := open(); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
