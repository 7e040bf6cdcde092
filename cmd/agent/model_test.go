package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chorale/inference/hub"
	"chorale/inference/hub/hubtest"
	"chorale/inference/store"
)

// shelf is a hub with a small model, and a program that is told of it.
type shelf struct {
	hub    *hubtest.Server
	models string // the folder that they are pulled to
	env    []string
}

// newShelf offers the tiny checkpoint under the name of the real one.
func newShelf(t *testing.T) *shelf {
	t.Helper()
	from := "../../inference/testdata/models/tiny-a/hf"
	var files []hubtest.File
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, hubtest.File{Path: name, Data: b, Large: name == "model.safetensors"})
	}
	dir := t.TempDir()
	s := &shelf{hub: hubtest.New(t, "openai/gpt-oss-20b", files...), models: filepath.Join(dir, "models")}
	certificate := filepath.Join(dir, "hub.pem")
	if err := os.WriteFile(certificate, s.hub.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	s.env = append(os.Environ(), asAgent+"=1", "SSL_CERT_FILE="+certificate, "HOME="+dir, "XDG_CONFIG_HOME="+dir, "AGENT_DEVICE=cpu",
		"AGENT_MODELS_HUB="+s.hub.URL, "AGENT_MODELS_DIR="+s.models, "MY_TOKEN=hub-token-123", "AGENT_MODELS_TOKEN_ENV=MY_TOKEN")
	return s
}

func (s *shelf) command(t *testing.T, args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env, cmd.Dir = s.env, t.TempDir()
	return cmd
}

// agent runs the program and checks its exit code. It returns both outputs.
func (s *shelf) agent(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := s.command(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit code says it
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("agent %v: exit code %d, want %d\n%s%s", args, got, code, out.String(), errs.String())
	}
	if all := out.String() + errs.String(); strings.Contains(all, "hub-token-123") || strings.Contains(all, "signed-for-you") {
		t.Errorf("agent %v tells a secret: %s", args, all)
	}
	return out.String(), errs.String()
}

// TestModelCommands is the life of a pulled model.
func TestModelCommands(t *testing.T) {
	s := newShelf(t)
	want := func(text string, parts ...string) {
		t.Helper()
		for _, p := range parts {
			if !strings.Contains(text, p) {
				t.Errorf("%q is missing in:\n%s", p, text)
			}
		}
	}
	_, errs := s.agent(t, 2, "model", "info", "gpt-oss-20b")
	want(errs, "agent model pull gpt-oss-20b")
	out, _ := s.agent(t, 0, "model", "pull", "gpt-oss-20b")
	want(out, "gpt-oss-20b at 0123456789ab: 4 files")
	if r := s.hub.Requests(); r[0].Authorization != "Bearer hub-token-123" {
		t.Errorf("the hub was sent %q", r[0].Authorization)
	}
	out, _ = s.agent(t, 0, "model", "ls")
	want(out, "pocket", "gpt-oss-20b  safetensors", "0123456789ab", time.Now().UTC().Format("2006-01-02"))
	out, _ = s.agent(t, 0, "model", "info", "gpt-oss-20b", "--json")
	var info struct {
		Layers, Experts int
		Format, Digest  string
		Path            string
	}
	if err := json.Unmarshal([]byte(out), &info); err != nil || info.Layers != 2 || info.Experts != 8 || info.Format != "safetensors" || !strings.HasPrefix(info.Digest, "sha256:") {
		t.Errorf("info %+v, %v", info, err)
	}
	s.agent(t, 0, "model", "info", "openai/gpt-oss-20b@main")
	out, _ = s.agent(t, 0, "model", "verify", "gpt-oss-20b")
	want(out, "4 files, all as they were pulled")
	if err := os.WriteFile(filepath.Join(info.Path, "config.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ = s.agent(t, 1, "model", "verify", "gpt-oss-20b")
	want(out, "config.json: has 2 bytes", "agent model pull openai/gpt-oss-20b@"+hubtest.Commit)
	s.agent(t, 0, "model", "pull", "openai/gpt-oss-20b@"+hubtest.Commit)
	s.agent(t, 0, "model", "verify", "gpt-oss-20b", "--json")
	_, errs = s.agent(t, 2, "model", "rm", "gpt-oss-20b")
	want(errs, "say --yes")
	s.agent(t, 0, "model", "rm", "gpt-oss-20b", "--yes")
	s.agent(t, 2, "model", "rm", "gpt-oss-20b", "--yes")
	for i, e := range s.env {
		if strings.HasPrefix(e, "AGENT_MODELS_HUB=") {
			s.env[i] = "AGENT_MODELS_HUB="
		}
	}
	_, errs = s.agent(t, 2, "model", "pull", "gpt-oss-20b")
	want(errs, "no hub is known", "models: {hub:")
}

// TestPullJSON: every line is an event, and the last one says how it ended.
func TestPullJSON(t *testing.T) {
	s := newShelf(t)
	last := func(out string) (first, end pullRecord) {
		lines := strings.Split(strings.TrimSpace(out), "\n")
		for i, line := range lines {
			var r pullRecord
			if err := json.Unmarshal([]byte(line), &r); err != nil || !strings.HasPrefix(r.Type, "pull.") {
				t.Errorf("line %d is %q: %v", i, line, err)
			}
			if i == 0 {
				first = r
			}
			end = r
		}
		return first, end
	}
	out, _ := s.agent(t, 0, "model", "pull", "gpt-oss-20b", "--json")
	first, end := last(out)
	if first.Type != "pull.planned" || len(first.Files) != 4 || end.Type != "pull.finished" || *end.ExitCode != 0 || end.Digest == "" {
		t.Errorf("from %+v to %+v", first, end)
	}
	s.hub.Break(func(_ bool, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusNotFound)
		return true
	})
	out, _ = s.agent(t, 7, "model", "pull", "owner/other", "--json")
	if _, end = last(out); end.Type != "pull.finished" || *end.ExitCode != 7 || !strings.Contains(end.Error, "there is no owner/other at main") {
		t.Errorf("a failure ends with %+v", end)
	}
}

// TestPullKilled: a process that is interrupted, or killed outright, leaves what
// had come, and the next pull asks for the rest alone.
func TestPullKilled(t *testing.T) {
	for name, signal := range map[string]os.Signal{"interrupted": os.Interrupt, "killed": os.Kill} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			var hold atomic.Bool
			hold.Store(true)
			stuck := make(chan struct{})
			var once sync.Once
			s.hub.Break(func(large bool, _ http.ResponseWriter, r *http.Request) bool {
				if large && hold.Load() {
					once.Do(func() { close(stuck) })
					<-r.Context().Done()
					return true
				}
				return false
			})
			cmd := s.command(t, "model", "pull", "gpt-oss-20b")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-stuck
			small := filepath.Join(s.models, "openai", "gpt-oss-20b", hubtest.Commit, "tokenizer.json")
			for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
				if _, err := os.Stat(small); err == nil {
					break
				} else if time.Now().After(end) {
					t.Fatal(err)
				}
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the exit code says it
			if code := cmd.ProcessState.ExitCode(); signal == os.Interrupt && code != 130 {
				t.Errorf("exit code %d, want 130", code)
			}
			hold.Store(false)
			out, _ := s.agent(t, 0, "model", "ls")
			if !strings.Contains(out, "incomplete") {
				t.Errorf("the model is not listed as incomplete:\n%s", out)
			}
			s.agent(t, 0, "model", "pull", "gpt-oss-20b")
			if n := s.hub.Asked("/resolve/" + hubtest.Commit + "/tokenizer.json"); n != 1 {
				t.Errorf("a file that had come was asked for %d times", n)
			}
		})
	}
}

// TestPullBars: what a person sees, at a width; rate and rest are those of the
// last seconds.
func TestPullBars(t *testing.T) {
	now := time.Unix(0, 0)
	v := newPullView(streams{err: &bytes.Buffer{}, terminal: true, width: 80}, false)
	v.rate.now = func() time.Time { return now }
	v.note(store.Planned{Repo: "a/b", Files: []hub.File{{Path: "small", Size: 1e6}, {Path: "a-very-long-name-of-a-file.safetensors", Size: 999e6}}})
	v.note(store.Done{Path: "small", How: store.Fetched})
	for i := range 6 {
		v.note(hub.Received{Path: "a-very-long-name-of-a-file.safetensors", Done: int64(i) * 50e6})
		now = now.Add(time.Second)
	}
	frame := v.frame(100)
	if len(frame) != 2 || frame[0] != "…e-of-a-file.safetensors [#####...............] 250 MB of 999 MB" ||
		frame[1] != "in all                   [#####...............] 25 %, 251 MB of 1.00 GB, 40.0 MB/s, 19s left" {
		t.Errorf("frame:\n%s", strings.Join(frame, "\n"))
	}
	if r := v.rate.value(); r < 30e6 || r > 60e6 {
		t.Errorf("the rate is %.0f, want about 40 MB/s", r)
	}
	for _, line := range v.frame(40) {
		if n := len([]rune(line)); n >= 40 {
			t.Errorf("%d columns of 40: %s", n, line)
		}
	}
	v.tell(hub.Retrying{Path: "x", Err: fmt.Errorf("\x1b[31mgone"), Wait: time.Second})
	if out := v.std.err.(*bytes.Buffer).String(); strings.Contains(out, "\x1b[31m") || !strings.Contains(out, "trying again in 1.0 s") {
		t.Errorf("told %q", out)
	}
}
