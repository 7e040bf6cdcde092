package apt

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// fake puts programs of the given names first, and alone, in the path. Each
// writes its arguments to the file log.
func fake(t *testing.T, scripts map[string]string) (log func() string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there is no apt-get on Windows")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "log")
	for name, body := range scripts {
		text := "#!/bin/sh\necho " + name + " \"$@\" >>" + file + "\n" + body + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	return func() string {
		text, _ := os.ReadFile(file)
		return string(text)
	}
}

// The output of apt-get 2.6, with another host.
const uris = `Reading package lists...
The following NEW packages will be installed:
  libvulkan1 mesa-vulkan-drivers
'http://deb.example/pool/v/libvulkan1_1.3.239.0-1_amd64.deb' libvulkan1_1.3.239.0-1_amd64.deb 120472 SHA256:aa
'http://deb.example/pool/m/mesa-vulkan-drivers_22.3.6-1+deb12u1_amd64.deb' mesa-vulkan-drivers_22.3.6-1+deb12u1_amd64.deb 8013312 SHA256:bb`

const show = `Package: libvulkan1
Installed-Size: 493

Package: mesa-vulkan-drivers
Installed-Size: 42000`

func TestPlan(t *testing.T) {
	log := fake(t, map[string]string{"apt-get": "echo \"" + uris + "\"", "apt-cache": "echo '" + show + "'"})
	got, err := Plan(t.Context(), "libvulkan1", "mesa-vulkan-drivers")
	want := Cost{Packages: []string{"libvulkan1", "mesa-vulkan-drivers"}, Download: 8133784, Disk: 42493 << 10}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if strings.Contains(log(), "update") {
		t.Error("lists were fetched that were there")
	}
}

func TestNothingToInstall(t *testing.T) {
	fake(t, map[string]string{"apt-get": "echo 'libvulkan1 is already the newest version.'"})
	if got, err := Plan(t.Context(), "libvulkan1"); err != nil || len(got.Packages) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestUnknownPackagesFetchTheLists(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for whom no sudo is called")
	}
	log := fake(t, map[string]string{"apt-get": "echo 'E: Unable to locate package x' >&2; exit 100"})
	_, err := Plan(t.Context(), "x")
	if err == nil || !strings.Contains(err.Error(), "Unable to locate") || !strings.Contains(log(), "update") {
		t.Errorf("%v after\n%s", err, log())
	}
}

func TestInstall(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for whom no sudo is called")
	}
	log := fake(t, map[string]string{
		"dpkg":    "[ $1 = --audit ] && echo 'half installed'; exit 0",
		"apt-get": "echo dlstatus:1:12.5:Retrieving file 1 of 2; echo Unpacking; echo pmstatus:libvulkan1:80:Installed: it is; echo dlstatus:x",
	})
	var said []string
	progress := func(text string, percent float64) { said = append(said, text+" "+strings.Repeat("%", int(percent)/10)) }
	if err := Install(t.Context(), progress, "libvulkan1"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"Retrieving file 1 of 2 %", "Installed: it is %%%%%%%%"}; !reflect.DeepEqual(said, want) {
		t.Errorf("progress %q, want %q", said, want)
	}
	if !strings.Contains(log(), "dpkg --configure -a\napt-get") {
		t.Errorf("a cut off installation was not mended:\n%s", log())
	}
	fake(t, map[string]string{"dpkg": "", "apt-get": "echo 'E: no space left' >&2; exit 100"})
	if err := Install(t.Context(), nil, "libvulkan1"); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("error %v", err)
	}
}

func TestElsewhere(t *testing.T) {
	fake(t, nil)
	if _, err := Plan(t.Context(), "x"); !errors.Is(err, ErrAbsent) {
		t.Errorf("error %v", err)
	}
}
