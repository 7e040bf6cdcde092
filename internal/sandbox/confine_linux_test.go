package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"chorale/internal/sandbox/confine"
)

// attempts makes this test binary a program that tries what a confined one may
// not: kind and object by turns.
const attempts = "attempts"

func init() {
	if len(os.Args) < 2 || os.Args[1] != attempts {
		return
	}
	for i := 2; i+1 < len(os.Args); i += 2 {
		if err := attempt(os.Args[i], os.Args[i+1]); err != nil {
			fmt.Printf("%s: %v\n", os.Args[i], err)
		} else {
			fmt.Printf("%s: done\n", os.Args[i])
		}
	}
	os.Exit(0)
}

func attempt(kind, object string) error {
	switch kind {
	case "read", "proc":
		_, err := os.ReadFile(object)
		return err
	case "list":
		_, err := os.ReadDir(object)
		return err
	case "write":
		return os.WriteFile(object, []byte("x"), 0o600)
	case "link":
		return os.Symlink("/etc/passwd", object)
	case "tcp", "udp", "unix":
		c, err := net.DialTimeout(kind, object, 5*time.Second)
		if err == nil {
			c.Close()
		}
		return err
	case "listen":
		l, err := net.Listen("tcp", object)
		if err == nil {
			l.Close()
		}
		return err
	case "send":
		c, err := net.Dial("udp", object)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("x"))
		return err
	case "get":
		return get(object)
	case "capability": // none is left
		status, err := os.ReadFile("/proc/self/status")
		if err == nil && !strings.Contains(string(status), "CapEff:\t0000000000000000") {
			err = fmt.Errorf("capabilities are left: %s", status)
		}
		return err
	case "signal":
		return syscall.Kill(os.Getppid(), 0)
	case "limit", "affinity", "scheduler", "priority", "group":
		return steer(kind, os.Getppid())
	case "own":
		var errs []error
		for _, kind := range []string{"limit", "affinity", "scheduler", "priority"} {
			errs = append(errs, steer(kind, 0))
		}
		return errors.Join(errs...)
	}
	return fmt.Errorf("no such attempt")
}

// steer sets something of a process, 0 for this one, to what it is.
func steer(kind string, pid int) error {
	switch kind {
	case "limit":
		var l unix.Rlimit
		return errors.Join(unix.Prlimit(0, unix.RLIMIT_CORE, nil, &l), unix.Prlimit(pid, unix.RLIMIT_CORE, &l, nil))
	case "affinity":
		var set unix.CPUSet
		return errors.Join(unix.SchedGetaffinity(pid, &set), unix.SchedSetaffinity(pid, &set))
	case "scheduler":
		a, err := unix.SchedGetAttr(pid, 0)
		if err != nil {
			return err
		}
		return unix.SchedSetAttr(pid, a, 0)
	case "priority":
		n, err := unix.Getpriority(unix.PRIO_PROCESS, pid)
		return errors.Join(err, unix.Setpriority(unix.PRIO_PROCESS, pid, 20-n))
	default: // all processes of the user, or the group
		n, err := unix.Getpriority(unix.PRIO_PROCESS, pid)
		return errors.Join(err, unix.Setpriority(unix.PRIO_PGRP, 0, 20-n))
	}
}

func TestConfined(t *testing.T) {
	for _, missing := range confine.Missing() {
		t.Log("this system: ", missing)
	}
	inside, outside, given := t.TempDir(), t.TempDir(), t.TempDir()
	for _, dir := range []string{inside, outside, given} {
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	local, err := net.Listen("unix", filepath.Join(given, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	binary, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	try := func(box *confine.Box) map[string]string {
		out := NewCapture(1 << 16)
		code, err := run(t, t.Context(), Command{Path: binary, Stdout: out, Stderr: out, Memory: 1 << 32, Time: time.Minute, Box: box, Args: []string{attempts,
			"read", filepath.Join(inside, "file"), "write", filepath.Join(inside, "new"), "list", outside,
			"proc", filepath.Join(outside, "file"), "link", filepath.Join(outside, "link"),
			"tcp", tcp.Addr().String(), "udp", tcp.Addr().String(), "unix", local.Addr().String(), "listen", "127.0.0.1:0", "signal", "",
			"limit", "", "affinity", "", "scheduler", "", "priority", "", "group", "", "own", ""}})
		if code != 0 || err != nil {
			t.Fatalf("%d, %v: %s", code, err, out)
		}
		got := map[string]string{}
		for line := range strings.Lines(out.String()) {
			kind, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
			got[kind] = text
		}
		return got
	}
	read := []string{inside, binary}
	for kind, said := range try(nil) {
		if said != "done" {
			t.Errorf("without a box, %s: %s", kind, said)
		}
	}
	os.Remove(filepath.Join(inside, "new"))
	os.Remove(filepath.Join(outside, "link"))
	got := try(&confine.Box{Read: read})
	files := len(confine.Missing()) == 0 || !strings.Contains(confine.Missing()[0], "Landlock")
	for kind, said := range got {
		switch kind {
		case "read", "own":
			if said != "done" {
				t.Errorf("%s: %s", kind, said)
			}
		case "signal": // newer kernels only
		case "write", "list", "proc", "link":
			if files && said == "done" {
				t.Errorf("%s was possible", kind)
			}
		default:
			if said == "done" {
				t.Errorf("%s was possible", kind)
			}
		}
	}
	got = try(&confine.Box{Read: read, Write: []string{inside, given}, Network: true})
	for _, kind := range []string{"read", "write", "tcp", "udp", "unix", "listen", "own"} {
		if got[kind] != "done" {
			t.Errorf("granted, and %s: %s", kind, got[kind])
		}
	}
	for _, kind := range []string{"limit", "affinity", "scheduler", "priority", "group"} {
		if got[kind] == "done" {
			t.Errorf("%s of another process was possible", kind)
		}
	}
	if files && (got["list"] == "done" || got["link"] == "done") {
		t.Errorf("outside of what was granted: %v", got)
	}
	t.Log(got)
}

// Confining a program confines nothing else of ours.
func TestConfinedThreadEnds(t *testing.T) {
	c, _ := sh("exit 0")
	c.Box = &confine.Box{}
	for range 20 {
		if code, err := run(t, t.Context(), c); code != 0 || err != nil {
			t.Fatalf("%d, %v", code, err)
		}
		if err := os.WriteFile(filepath.Join(t.TempDir(), "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.Box = &confine.Box{Read: []string{"/no/such/folder"}}
	if _, err := Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "/no/such/folder") {
		t.Errorf("got %v", err)
	}
}
