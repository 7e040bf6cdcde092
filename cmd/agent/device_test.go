package main

import (
	"strings"
	"testing"

	"chorale/inference"
)

func TestShowDevices(t *testing.T) {
	var out strings.Builder
	err := showDevices(&out, []inference.DeviceInfo{
		{ID: "cpu", Name: "CPU (2 threads)", Kind: "cpu", Kernels: "AVX2"},
		{ID: "vulkan:0", UUID: "00ff", Name: "A Card", Vendor: "Maker", Kind: "discrete", Driver: "Driver 1.2", Profiles: []string{"base", "half"},
			Heaps: []inference.Heap{{Size: 8 << 30, Budget: 7 << 30, Local: true}, {Size: 1 << 30}}},
		{ID: "vulkan:1", UUID: "00fe", Name: "Soft", Kind: "software", Kernels: "base"},
	})
	const want = `ID        NAME             VENDOR  TYPE      KERNELS
cpu       CPU (2 threads)  -       cpu       AVX2
vulkan:0  A Card           Maker   discrete  not tested yet
    uuid      00ff
    driver    Driver 1.2
    profiles  base half
    memory    8.59 GB of the device's, 7.52 GB free
    memory    1.07 GB of the host's
vulkan:1  Soft             -       software  base
    uuid      00fe
    driver    
    profiles  
`
	if err != nil || out.String() != want {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestShowDeviceTest holds that what is slow or not run is named, and only what is
// wrong is a failure.
func TestShowDeviceTest(t *testing.T) {
	for _, passed := range []bool{true, false} {
		var out strings.Builder
		err := showDeviceTest(streams{out: &out}, &inference.DeviceReport{
			Device: "A Card", Passed: passed, Slow: []string{"texel"}, NotRun: []string{"dot"},
			Tests: []inference.DeviceTest{{Profile: "base", Operation: "router", Error: 1e-3, Tolerance: 1e-4, Passed: passed}},
		}, false)
		want := "A Card\n" + map[bool]string{true: "pass", false: "FAIL"}[passed] + `  base      router                                           1.0e-03 of 1e-04
slow  texel     set aside: it did not finish in time with this driver
----  dot       not run: the device lacks its features, or only emulates them
`
		if out.String() != want || (err == nil) != passed {
			t.Errorf("%v,\n%s\nwant\n%s", err, out.String(), want)
		}
	}
}
