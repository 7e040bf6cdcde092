package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed peer
var sources embed.FS

// install makes llama.cpp ready in a folder, unless it is, and returns the
// program that serves it.
func install(ctx context.Context, folder string) (command []string, err error) {
	command = []string{filepath.Join(folder, "venv", "bin", "python"), filepath.Join(folder, "peer.py")}
	for tool, pkg := range map[string]string{"python3": "python3-venv", "npm": "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%s is missing; on Debian: sudo apt-get install -y --no-install-recommends %s", tool, pkg)
		}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	hash := sha256.New()
	for _, name := range []string{"package.json", "requirements.txt", "peer.py"} {
		data, err := sources.ReadFile("peer/" + name)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), data, 0o644)
		}
		if err != nil {
			return nil, err
		}
		if name != "peer.py" {
			hash.Write(data)
		}
	}
	stamp, sum := filepath.Join(folder, "installed"), fmt.Sprintf("%x", hash.Sum(nil))
	if was, err := os.ReadFile(stamp); err == nil && string(was) == sum {
		return command, nil
	}
	fmt.Fprintln(os.Stderr, "installing llama.cpp in", folder)
	for _, args := range [][]string{
		{"python3", "-m", "venv", "venv"},
		{"venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"},
		{"npm", "install", "--silent", "--no-audit", "--no-fund"},
	} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = folder, os.Stderr, os.Stderr
		cmd.Env = append(os.Environ(), "CMAKE_ARGS=-DLLAMA_BUILD=OFF") // its own library is not built
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("install llama.cpp: %s: %w", strings.Join(args, " "), err)
		}
	}
	return command, os.WriteFile(stamp, []byte(sum), 0o644)
}

// peer is llama.cpp with a model.
type peer struct {
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	log     *strings.Builder // what it said last
}

// start loads a model; index is of a Vulkan device, negative for the CPU.
func start(ctx context.Context, command []string, model string, threads, context, index int) (*peer, error) {
	args := append(command[1:len(command):len(command)], model, fmt.Sprint(threads), fmt.Sprint(context))
	if index >= 0 {
		args = append(args, fmt.Sprint(index))
	}
	p := &peer{process: exec.CommandContext(ctx, command[0], args...), log: &strings.Builder{}}
	p.process.Stderr = p.log
	var err error
	if p.in, err = p.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	if err := p.process.Start(); err != nil {
		return nil, err
	}
	if !p.out.Scan() || p.out.Text() != "ready" {
		return nil, p.failed(errors.New("it did not start"))
	}
	return p, nil
}

// ask has it do a work on n tokens.
func (p *peer) ask(work string, n int) (t took, err error) {
	if _, err = fmt.Fprintln(p.in, work, n); err == nil && !p.out.Scan() {
		err = errors.Join(errors.New("it ended"), p.out.Err())
	}
	if err == nil {
		_, err = fmt.Sscan(p.out.Text(), &t.wall, &t.cpu)
	}
	if err != nil {
		return t, p.failed(err)
	}
	return t, nil
}

// failed ends the process and adds the end of what it said.
func (p *peer) failed(err error) error {
	p.stop()
	log := p.log.String()
	return fmt.Errorf("llama.cpp: %w\n%s", err, log[max(0, len(log)-2000):])
}

func (p *peer) stop() {
	p.in.Close()
	_ = p.process.Wait() // how it ends does not matter
}
