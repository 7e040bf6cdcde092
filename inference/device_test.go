package inference

import (
	"context"
	"strings"
	"testing"

	"chorale/inference/internal/gpu"
)

func TestChoose(t *testing.T) {
	soft := gpu.Device{Index: 0, Name: "llvmpipe (LLVM 19)", Kind: "software", Software: true}
	small := gpu.Device{Index: 1, Name: "Intel Arc", Kind: "integrated"}
	big := gpu.Device{Index: 2, Name: "AMD Radeon 7900", Kind: "discrete"}
	all := []gpu.Device{soft, small, big}
	for _, c := range []struct {
		name string
		all  []gpu.Device
		want string // of the device's name; empty is an error
	}{
		{"vulkan", all, small.Name},
		{"software", all, soft.Name},
		{"vulkan:2", all, big.Name},
		{"vulkan:0", all, soft.Name},
		{"vulkan:radeon", all, big.Name},
		{"vulkan:llvmpipe", all, soft.Name},
		{"vulkan:3", all, ""},
		{"vulkan:nvidia", all, ""},
		{"vulkan:", all, ""},
		{"vulkan", []gpu.Device{soft}, ""},
		{"software", []gpu.Device{big}, ""},
		{"vulkan", nil, ""},
	} {
		d, err := choose(c.all, c.name)
		if (err == nil) != (c.want != "") || d.Name != c.want {
			t.Errorf("%s of %d devices: %q, %v; want %q", c.name, len(c.all), d.Name, err, c.want)
		}
	}
}

// TestAuto holds that a machine without a GPU gets the CPU and is told so, and
// that a software driver is not taken unasked.
func TestAuto(t *testing.T) {
	var notices []string
	m, err := Open(context.Background(), Pocket, Options{Notice: func(s string) { notices = append(notices, s) }})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	i := m.Info()
	if strings.Contains(strings.ToLower(i.Device), "software") {
		t.Errorf("a software driver was taken: %s", i.Device)
	}
	if (i.Backend == "ref") != (len(notices) == 1) {
		t.Errorf("backend %s with notices %q", i.Backend, notices)
	}
}
