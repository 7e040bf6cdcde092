package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The libraries, each in the program that serves it.
const (
	ours      = "chorale"
	lenient   = "chorale-lenient"
	reference = "openai-harmony"        // the Rust crate
	binding   = "openai-harmony-python" // stands in for it where there is no cargo
)

// program is a peer's process: it reads lines "LIBRARY WORK SECONDS" and answers
// each with the CPU seconds of one run and a number that tells what came out.
type program struct {
	libraries []string
	command   []string // without the folder of the inputs

	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

// peersSource is where the programs' sources are, from the root of the
// repository.
const peersSource = "internal/bench/harmony/peers"

// build makes the programs. What cannot be built is left out, and said.
func build(cache string) (programs []*program, missing []string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	programs = []*program{{libraries: []string{ours, lenient}, command: []string{self, "peer"}}}
	for _, b := range []struct {
		tool, install, folder string
		make                  func(folder string) error
		command, libraries    []string
	}{
		{
			tool: "cargo", install: "sudo apt-get install -y --no-install-recommends cargo (or rustup, if that is older than 1.85)",
			folder: "rust", make: buildRust, command: []string{"target/release/peer"},
			libraries: []string{reference, "tiktoken-rs", "bpe-openai"},
		},
		{
			tool: "python3", install: "sudo apt-get install -y --no-install-recommends python3-venv",
			folder: "python", make: buildPython, command: []string{"venv/bin/python", "peer.py"},
			libraries: []string{binding, "tiktoken", "quicktok"},
		},
		{
			tool: "go", folder: "golang", make: buildGo, command: []string{"peer"},
			libraries: []string{"tiktoken-go/tokenizer", "pkoukk/tiktoken-go"},
		},
	} {
		if _, err := exec.LookPath(b.tool); err != nil {
			missing = append(missing, strings.Join(b.libraries, ", "))
			fmt.Fprintf(os.Stderr, "no %s, so without %s; on Debian: %s\n", b.tool, strings.Join(b.libraries, ", "), b.install)
			continue
		}
		folder := filepath.Join(cache, b.folder)
		source := filepath.Join(filepath.FromSlash(peersSource), b.folder)
		if err := buildOnce(b.folder, source, folder, b.make); err != nil {
			return nil, nil, fmt.Errorf("build the %s peers in %s: %w (on Debian: %s)", b.folder, folder, err, b.install)
		}
		p := &program{libraries: b.libraries}
		for _, file := range b.command {
			p.command = append(p.command, filepath.Join(folder, filepath.FromSlash(file)))
		}
		programs = append(programs, p)
	}
	if serving(programs, reference) == nil && serving(programs, binding) == nil {
		return nil, nil, errors.New("there is no openai-harmony to compare with; install cargo or python3 as said above")
	}
	return programs, missing, nil
}

// buildOnce copies a peer's source to the folder and builds it there, unless
// that is what was built last.
func buildOnce(name, from, folder string, build func(string) error) error {
	hash, source := sha256.New(), os.DirFS(from)
	err := fs.WalkDir(source, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(source, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(hash, "%s %x\n", path, sha256.Sum256(data))
		path = filepath.Join(folder, filepath.FromSlash(path))
		return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644))
	})
	if err != nil {
		return err
	}
	stamp, sum := filepath.Join(folder, "built"), fmt.Sprintf("%x", hash.Sum(nil))
	if was, err := os.ReadFile(stamp); err == nil && string(was) == sum {
		return nil
	}
	fmt.Fprintf(os.Stderr, "building the %s peers\n", name)
	if err := build(folder); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(sum), 0o644)
}

func buildRust(folder string) error {
	return inFolder(folder, "cargo", "build", "--release", "--quiet")
}

func buildGo(folder string) error { return inFolder(folder, "go", "build", "-o", "peer", ".") }

func buildPython(folder string) error {
	return errors.Join(
		inFolder(folder, "python3", "-m", "venv", "venv"),
		inFolder(folder, "venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"),
	)
}

func inFolder(folder, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return nil
}

// start runs the program on one thread.
func (p *program) start(folder string) (err error) {
	p.process = exec.Command(p.command[0], append(p.command[1:], folder)...)
	p.process.Stderr = os.Stderr
	p.process.Env = append(os.Environ(), "GOMAXPROCS=1", "RAYON_NUM_THREADS=1", "TOKENIZERS_PARALLELISM=false")
	if p.in, err = p.process.StdinPipe(); err != nil {
		return err
	}
	out, err := p.process.StdoutPipe()
	if err != nil {
		return err
	}
	p.out = bufio.NewScanner(out)
	return p.process.Start()
}

// ask has the program do a work.
func (p *program) ask(library, work string, seconds float64) (spent float64, result uint64, err error) {
	if _, err = fmt.Fprintln(p.in, library, work, seconds); err == nil && !p.out.Scan() {
		err = errors.Join(errors.New("it ended"), p.out.Err())
	}
	if err == nil {
		_, err = fmt.Sscan(p.out.Text(), &spent, &result)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %s: %w", library, work, err)
	}
	return spent, result, nil
}

// stop lets the program end.
func (p *program) stop() error {
	return errors.Join(p.in.Close(), p.process.Wait())
}
