package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"chorale/inference"
	"chorale/inference/synth"
)

// kase is a model on a device, and what both do with it.
type kase struct {
	name, title string
	shape       string // as synth.Parse reads it
	device      string // as inference.Options have it
	prefill     int
	decode      int  // tokens of a turn
	pairs       int  // turns that count, after one that does not
	avx2        bool // both have AVX2 at most
}

// withAVX2 is what a process must find in its environment, and its peer's, to have AVX2
// at most, as most people's processors do.
var withAVX2 = map[string]string{"GODEBUG": "cpu.avx512f=off", "PEER_CPU": "haswell"}

var cases = []kase{
	{"lavapipe-cut", "lavapipe, 20b cut so that llama.cpp runs wholly on Vulkan (2 layers, 24 experts, vocabulary 32,768)",
		"20b?layers=2&experts=24&vocab=32768", "software", 64, 4, 5, false},
	{"lavapipe", "lavapipe, 20b with 2 layers (llama.cpp runs most of it on its CPU backend)",
		"20b?layers=2", "software", 64, 4, 5, false},
	{"cpu", "CPU, 20b with 2 layers", "20b?layers=2", "cpu", 128, 16, 7, false},
	{"cpu-avx2", "CPU, 20b with 2 layers, both with AVX2 at most", "20b?layers=2", "cpu", 128, 16, 7, true},
	{"gpu", "GPU, 20b whole", "20b", "vulkan", 2048, 64, 5, false},
}

// choose returns the cases of that name, or those that this machine can measure.
func choose(names string) ([]kase, error) {
	devices, err := inference.Devices()
	has := func(software bool) bool {
		return slices.ContainsFunc(devices, func(d inference.DeviceInfo) bool { return d.Kind != "cpu" && d.Software == software })
	}
	var chosen []kase
	for _, c := range cases {
		if c.avx2 && runtime.GOARCH != "amd64" {
			continue
		}
		missing := c.device == "software" && !has(true) || c.device == "vulkan" && !has(false)
		switch {
		case names != "" && !slices.Contains(strings.Split(names, ","), c.name):
		case missing && names != "":
			return nil, fmt.Errorf("%s: there is no such device (%v); on Debian: apt-get install mesa-vulkan-drivers", c.name, err)
		case missing:
			fmt.Fprintf(os.Stderr, "without %s: there is no such device\n", c.name)
		default:
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("there is no case %q", names)
	}
	return chosen, nil
}

// model returns the shape.
func (c *kase) model() (synth.Model, error) { return synth.Parse(c.shape) }

// file is the name of the checkpoint.
func (c *kase) file() string {
	return strings.NewReplacer("?", "-", "=", "", "&", "-").Replace(c.shape) + ".gguf"
}
