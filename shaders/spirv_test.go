package shaders

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "recompile the kernels and write spv/")

// The compiler, pinned: another version may emit other bytes.
const compiler = "shaderc 2023.2"

var flags = []string{"-O", "--target-env=vulkan1.1", "-I", "include"}

// source and flagsOf say what a kernel is compiled from, and how.
func source(kernel string) string {
	name, _, _ := strings.Cut(kernel, ".")
	return name + ".comp"
}

func flagsOf(kernel string) []string {
	_, variant, _ := strings.Cut(kernel, ".")
	return slices.Concat(flags, Variants[variant].Defines)
}

const manifest = "spv/MANIFEST"

// TestSPIRV holds the committed SPIR-V against its manifest and, where the
// pinned compiler is installed, against what it makes of the sources today.
func TestSPIRV(t *testing.T) {
	glslc := findCompiler()
	if *update {
		if glslc == "" {
			t.Fatalf("glslc of %s is not installed (Debian 12: apt-get install glslc)", compiler)
		}
		recompile(t, glslc)
	}
	want, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if got := describe(t); got != string(want) {
		t.Errorf("the kernels and their SPIR-V have drifted apart: run go generate ./shaders\n%s now:\n%s\ncommitted:\n%s", manifest, got, want)
	}
	for _, k := range All {
		if glslc != "" && !bytes.Equal(compile(t, glslc, k.Name), k.SPIRV) {
			t.Errorf("%s.spv is not what %s makes of %s.comp", k.Name, compiler, k.Name)
		}
	}
	t.Logf("%d kernels, compared with a fresh build: %v", len(All), glslc != "")
}

// describe returns the manifest that belongs to the files as they are: for each
// kernel the SHA-256 of compiler, flags, source and includes, then that of the
// SPIR-V.
func describe(t *testing.T) string {
	t.Helper()
	includes, _ := filepath.Glob("include/*.glsl")
	slices.Sort(includes)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", compiler, strings.Join(flags, " "))
	for _, k := range All {
		sum := sha256.New()
		fmt.Fprintln(sum, compiler, flagsOf(k.Name))
		for _, file := range append([]string{source(k.Name)}, includes...) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(sum, "%s %d\n%s", file, len(text), text)
		}
		code, err := os.ReadFile("spv/" + k.Name + ".spv")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %x %x\n", k.Name, sum.Sum(nil), sha256.Sum256(code))
	}
	return b.String()
}

func recompile(t *testing.T, glslc string) {
	t.Helper()
	for _, k := range All {
		k.SPIRV = compile(t, glslc, k.Name)
		if err := os.WriteFile("spv/"+k.Name+".spv", k.SPIRV, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(manifest, []byte(describe(t)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// findCompiler returns the path of the pinned glslc, or "".
func findCompiler() string {
	path, err := exec.LookPath("glslc")
	if err != nil {
		return ""
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil || !strings.HasPrefix(string(out), compiler) {
		return ""
	}
	return path
}

func compile(t *testing.T, glslc, name string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	if text, err := exec.Command(glslc, append(flagsOf(name), source(name), "-o", out)...).CombinedOutput(); err != nil {
		t.Fatalf("%s.comp: %v\n%s", name, err, text)
	}
	code, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// TestValid runs the SPIR-V validator over every kernel.
func TestValid(t *testing.T) {
	validator, err := exec.LookPath("spirv-val")
	if err != nil {
		const missing = "spirv-val is not installed (Debian and Ubuntu: apt-get install spirv-tools)"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	for _, k := range All {
		cmd := exec.Command(validator, "--target-env", "vulkan1.1")
		cmd.Stdin = bytes.NewReader(k.SPIRV)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", k.Name, err, out)
		}
	}
}
