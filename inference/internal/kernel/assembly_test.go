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

// TestAssembly holds the committed assembly against the program that makes it, by
// hashes: the program's library is no dependency of this module.
func TestAssembly(t *testing.T) {
	const manifest = "assembly/MANIFEST"
	if *update {
		cmd := exec.Command("go", "run", ".", "-out", "../assembly_amd64.s", "-stubs", "../assembly_amd64.go", "-pkg", "kernel")
		cmd.Dir, cmd.Env = "assembly", append(os.Environ(), "GOEXPERIMENT=", "GOFLAGS=-mod=readonly")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	sources, err := filepath.Glob("assembly/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var now bytes.Buffer
	for _, file := range append(sources, "assembly/go.sum", "assembly_amd64.s", "assembly_amd64.go") {
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
