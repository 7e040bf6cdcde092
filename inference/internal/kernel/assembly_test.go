package kernel

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "run the program in assembly/ and write what it makes")

// TestAssembly holds the committed assembly against the programs that make it, by
// hashes: their library is no dependency of this module.
func TestAssembly(t *testing.T) {
	const manifest = "assembly/MANIFEST"
	if *update {
		for _, args := range [][]string{
			{".", "-out", "../assembly_amd64.s", "-stubs", "../assembly_amd64.go", "-pkg", "kernel"},
			{"./neon", "-out", "../assembly_arm64.s", "-stubs", "../assembly_arm64.go"},
		} {
			cmd := exec.Command("go", append([]string{"run"}, args...)...)
			cmd.Dir, cmd.Env = "assembly", append(os.Environ(), "GOEXPERIMENT=", "GOFLAGS=-mod=readonly", "GOARCH=")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
	}
	var files []string
	for _, pattern := range []string{"assembly/*.go", "assembly/neon/*.go", "assembly/go.sum", "assembly_*64.s", "assembly_*64.go"} {
		some, err := filepath.Glob(pattern)
		if err != nil || len(some) == 0 {
			t.Fatal(pattern, err)
		}
		files = append(files, some...)
	}
	var now bytes.Buffer
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&now, "%x  %s\n", sha256.Sum256(text), file)
	}
	if *update {
		if err := os.WriteFile(manifest, now.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(manifest); err != nil || !bytes.Equal(want, now.Bytes()) {
		t.Errorf("the assembly and its program have drifted apart (%v): run go generate ./inference/internal/kernel", err)
	}
}
