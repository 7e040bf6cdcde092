package shaders

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "recompile the kernels and write spv/")

// compiler is a program that makes SPIR-V, pinned: another version may emit other
// bytes.
type compiler struct {
	version string // as it says it
	flags   []string
	path    func() string // "" where it is not installed
	install string
}

var (
	shaderc = compiler{"shaderc 2023.2", []string{"-O", "--target-env=vulkan1.1", "-I", "include"}, lookUp("glslc", "shaderc 2023.2"),
		"Debian 12: apt-get install glslc"}
	// glslang knows cooperative matrices.
	glslang = compiler{"Glslang Version: 11:13.1.1", []string{"-V", "-g0", "--quiet", "--target-env", "vulkan1.1", "-Iinclude"},
		fetched("glslangValidator"), "scripts/shader-tools.sh"}
)

func compilerOf(kernel string) compiler {
	if strings.HasSuffix(kernel, ".cooperative") {
		return glslang
	}
	return shaderc
}

// emulated are kernels that tests alone run, from their files. Bindings and
// constants are those of the kernels that they stand for.
var emulated = []string{"matrix_linear.emulated", "matrix_expert_up.emulated", "matrix_expert_down.emulated"}

// compiled lists all that is in spv/.
func compiled() []string {
	var names []string
	for _, k := range All {
		names = append(names, k.Name)
	}
	return append(names, emulated...)
}

func spv(kernel string) string { return "spv/" + kernel + ".spv" }

// source and flagsOf say what a kernel is compiled from, and how.
func source(kernel string) string {
	name, _, _ := strings.Cut(kernel, ".")
	return name + ".comp"
}

func flagsOf(kernel string) []string {
	_, variant, _ := strings.Cut(kernel, ".")
	return slices.Concat(compilerOf(kernel).flags, Variants[variant].Defines)
}

const manifest = "spv/MANIFEST"

// TestSPIRV holds the committed SPIR-V against its manifest and, where the
// pinned compilers are installed, against what they make of the sources today.
func TestSPIRV(t *testing.T) {
	if *update {
		recompile(t)
	}
	want, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if got := describe(t); got != string(want) {
		t.Errorf("the kernels and their SPIR-V have drifted apart: run make shaders\n%s now:\n%s\ncommitted:\n%s", manifest, got, want)
	}
	n := 0
	for _, name := range compiled() {
		if compilerOf(name).path() == "" {
			continue
		}
		n++
		if !bytes.Equal(compile(t, name), code(t, name)) {
			t.Errorf("%s is not what %s makes of %s", spv(name), compilerOf(name).version, source(name))
		}
	}
	t.Logf("%d kernels, %d compared with a fresh build", len(compiled()), n)
}

// describe returns the manifest that belongs to the files as they are: for each
// kernel the SHA-256 of compiler, flags, source and includes, then that of the
// SPIR-V.
func describe(t *testing.T) string {
	t.Helper()
	includes, _ := filepath.Glob("include/*.glsl")
	slices.Sort(includes)
	var b strings.Builder
	for _, name := range compiled() {
		sum := sha256.New()
		fmt.Fprintln(sum, compilerOf(name).version, flagsOf(name))
		for _, file := range append([]string{source(name)}, includes...) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(sum, "%s %d\n%s", file, len(text), text)
		}
		fmt.Fprintf(&b, "%s %x %x\n", name, sum.Sum(nil), sha256.Sum256(code(t, name)))
	}
	return b.String()
}

func code(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(spv(name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func recompile(t *testing.T) {
	t.Helper()
	for _, c := range []compiler{shaderc, glslang} {
		if c.path() == "" {
			t.Fatalf("the compiler %q is not installed (%s)", c.version, c.install)
		}
	}
	for _, name := range compiled() {
		made := compile(t, name)
		if err := os.WriteFile(spv(name), made, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, k := range All {
			if k.Name == name {
				k.SPIRV = made
			}
		}
	}
	if err := os.WriteFile(manifest, []byte(describe(t)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// lookUp finds a program of the system, if it is that version.
func lookUp(program, version string) func() string {
	return sync.OnceValue(func() string {
		path, err := exec.LookPath(program)
		if err != nil {
			return ""
		}
		out, err := exec.Command(path, "--version").Output()
		if err != nil || !strings.HasPrefix(string(out), version) {
			return ""
		}
		return path
	})
}

// fetched finds a program of those that scripts/shader-tools.sh installs.
func fetched(program string) func() string {
	return sync.OnceValue(func() string {
		list, err := os.ReadFile("tools.txt")
		if err != nil {
			return ""
		}
		cache, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		sum := sha256.Sum256(list)
		dir := filepath.Join(cache, "agent", "shader-tools-"+hex.EncodeToString(sum[:])[:12])
		if _, err := os.Stat(filepath.Join(dir, "done")); err != nil {
			return ""
		}
		return filepath.Join(dir, "cmeel.prefix", "bin", program)
	})
}

// command runs a program with the libraries that lie beside it.
func command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(filepath.Dir(path), "../lib"))
	return cmd
}

func compile(t *testing.T, name string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	if text, err := command(compilerOf(name).path(), append(flagsOf(name), source(name), "-o", out)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	made, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

var validator = fetched("spirv-val")

// TestValid runs the SPIR-V validator over every kernel.
func TestValid(t *testing.T) {
	path := validator()
	if path == "" {
		const missing = "the SPIR-V validator is not installed (scripts/shader-tools.sh)"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	for _, name := range compiled() {
		if out, err := command(path, "--target-env", "vulkan1.1", spv(name)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
