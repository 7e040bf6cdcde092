// Package drivers finds the software Vulkan drivers that tests run on: Mesa's
// lavapipe and the SwiftShader that comes with Chromium. Tests call it; nothing
// else imports it.
//
// Where a driver or the validation layer is missing the test is skipped, with
// what to install; in CI (CI=true) it fails.
package drivers

import (
	"os"
	"path/filepath"
	"testing"
)

// Driver is a software driver.
type Driver struct {
	Name    string
	install string   // what to do where it is missing
	icds    []string // patterns of its manifest's place
}

// The drivers. Lavapipe is rich in features, SwiftShader has next to none:
// what runs on both runs anywhere.
var (
	Lavapipe = Driver{"lavapipe", "apt-get install mesa-vulkan-drivers", []string{
		"/usr/share/vulkan/icd.d/lvp_icd*.json", "/usr/local/share/vulkan/icd.d/lvp_icd*.json", "/etc/vulkan/icd.d/lvp_icd*.json"}}
	SwiftShader = Driver{"swiftshader", "apt-get install chromium", []string{
		"/usr/lib/chromium*/vk_swiftshader_icd.json", "/usr/lib64/chromium*/vk_swiftshader_icd.json", "/opt/google/chrome/vk_swiftshader_icd.json"}}
)

// All lists the drivers.
var All = []Driver{Lavapipe, SwiftShader}

// Use makes the driver the only one that Vulkan instances made from now on see,
// until the test ends. Instances of an earlier driver must be closed.
func (d Driver) Use(t testing.TB) {
	t.Helper()
	for _, pattern := range d.icds {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			icd := found[len(found)-1]
			t.Setenv("VK_DRIVER_FILES", icd)
			t.Setenv("VK_ICD_FILENAMES", icd)
			return
		}
	}
	Missing(t, "the Vulkan driver "+d.Name+" is not installed (on Debian and Ubuntu: "+d.install+")")
}

// Missing skips the test, or fails it in CI.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}
