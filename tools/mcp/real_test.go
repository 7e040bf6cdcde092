package mcp

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chorale/tools"
	"chorale/tools/tooltest"
)

// official is the program of a server of the protocol's own authors.
func official(t *testing.T, name string) []string {
	t.Helper()
	dir := packages(t)
	return []string{"node", "--require", filepath.Join(dir, "webcrypto.cjs"), filepath.Join(dir, "@modelcontextprotocol", name, "dist", "index.js")}
}

var everythingTools = []string{"echo", "get-sum", "get-env", "get-tiny-image", "get-structured-content", "get-resource-links", "trigger-long-running-operation"}

func everything(t *testing.T) Server {
	return Server{Name: "srv", Command: append(official(t, "server-everything"), "stdio"), Only: everythingTools, ReadOnly: []string{"get-sum"}, Read: []string{packages(t)}}
}

// packages is the folder that the official servers are installed in.
func packages(t *testing.T) string {
	t.Helper()
	return tooltest.Packages(t, "testdata/npm/package-lock.json")
}

func TestEverything(t *testing.T) {
	server := everything(t)
	t.Setenv("MCP_TEST_OTHER", "other-value")
	checkEverything(t, open(t, server))
}

// The same server over streamable HTTP.
func TestEverythingRemote(t *testing.T) {
	server := everything(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	args := slices.Clone(server.Command[1:])
	args[len(args)-1] = "streamableHttp"
	other := exec.Command(server.Command[0], args...)
	var said bytes.Buffer
	other.Stderr = &said
	_, port, _ := net.SplitHostPort(address)
	other.Env = append(os.Environ(), "PORT="+port)
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		other.Process.Kill()
		other.Wait()
	}()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			other.Process.Kill()
			other.Wait()
			t.Fatalf("the server did not start: %s", said.String())
		}
	}
	server.Command, server.Read, server.URL = nil, nil, "http://"+address+"/mcp"
	checkEverything(t, open(t, server))
}

func checkEverything(t *testing.T, o opened) {
	t.Helper()
	for _, c := range []struct {
		function string
		args     object
		want     string
	}{
		{"srv_echo", object{"message": "<|end|> hello"}, "Echo: <|end|> hello"},
		{"srv_get-sum", object{"a": 2, "b": 40}, "The sum of 2 and 40 is 42."},
		{"srv_get-tiny-image", object{}, "[image, image/png, "},
		{"srv_get-structured-content", object{"location": "Chicago"}, `"temperature"`},
		{"srv_get-resource-links", object{"count": 1}, "[resource "},
		{"srv_trigger-long-running-operation", object{"duration": 0.1, "steps": 2}, "completed"},
	} {
		if r := call(t, o, c.function, c.args); r.Failed || !strings.Contains(r.Text, c.want) {
			t.Errorf("%s: %+v, want %q", c.function, r, c.want)
		}
	}
	if r := call(t, o, "srv_get-sum", object{"a": "two"}); !r.Failed || !strings.Contains(r.Text, `a: must be number, got string`) || !strings.Contains(r.Text, `missing argument "b"`) {
		t.Errorf("got %+v", r)
	}
	if r := call(t, o, "srv_get-env", object{}); r.Failed || strings.Contains(r.Text, "other-value") {
		t.Errorf("the environment: %+v", r)
	}
	long := callOf("srv_trigger-long-running-operation", object{"duration": 60, "steps": 60})
	long.Limits.Time = time.Second
	if r, err := o.Call(t.Context(), long); err != nil || !r.Failed || !strings.Contains(r.Text, "timed out after 1s") {
		t.Errorf("got %+v, %v", r, err)
	}
	if r := call(t, o, "srv_echo", object{"message": "on"}); r.Failed {
		t.Errorf("after a time-out: %+v", r)
	}
	shown := string(o.Namespace().Functions[1].Parameters)
	if want := `{"type":"object","properties":{"a":{"type":"number","description":"First number"},"b":{"type":"number","description":"Second number"}},"required":["a","b"]}`; shown != want {
		t.Errorf("get-sum is shown with %s, want %s", shown, want)
	}
}

func TestEverythingContract(t *testing.T) {
	server := everything(t)
	tooltest.Run(t, tooltest.Subject{
		Open:    func(t *testing.T) tools.Tool { return open(t, server) },
		Echo:    func(text string) tools.Call { return callOf("srv_echo", object{"message": text}) },
		Endless: callOf("srv_trigger-long-running-operation", object{"duration": 600, "steps": 2}),
		Flood:   callOf("srv_echo", object{"message": strings.Repeat("x", 2<<20)}),
		Wrong:   callOf("srv_echo", object{"message": 5}),
	})
}

func TestFilesystem(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "note.txt"), []byte("a lemon tree"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "secret.txt"), []byte("hidden"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := open(t, Server{Name: "files", Command: append(official(t, "server-filesystem"), dir), Only: []string{"read_text_file", "list_directory", "write_file"}, Read: []string{packages(t)}, Write: []string{dir}})
	if r := call(t, o, "files_list_directory", object{"path": dir}); r.Failed || !strings.Contains(r.Text, "note.txt") {
		t.Errorf("got %+v", r)
	}
	if r := call(t, o, "files_read_text_file", object{"path": filepath.Join(dir, "note.txt")}); r.Failed || r.Text != "a lemon tree" {
		t.Errorf("got %+v", r)
	}
	if r := call(t, o, "files_write_file", object{"path": filepath.Join(dir, "new.txt"), "content": "<|call|>"}); r.Failed {
		t.Errorf("got %+v", r)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "new.txt")); string(b) != "<|call|>" {
		t.Errorf("got %q, %v", b, err)
	}
	if r := call(t, o, "files_read_text_file", object{"path": filepath.Join(outside, "secret.txt")}); !r.Failed || strings.Contains(r.Text, "hidden") {
		t.Errorf("got %+v", r)
	}
	if names := fmt.Sprint(len(o.Namespace().Functions)); names != "3" {
		t.Errorf("%s functions are declared", names)
	}
}
