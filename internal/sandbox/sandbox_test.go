//go:build unix

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"chorale/internal/sandbox/confine"
)

// escape makes this test binary a process that leaves its group, holds on to
// its parent's output and sleeps.
const escape = "SANDBOX_TEST_ESCAPE"

func TestMain(m *testing.M) {
	if os.Getenv(escape) != "" {
		if os.Getenv(escape) == "parent" {
			child := exec.Command(os.Args[0])
			child.Env, child.Stdout = []string{escape + "=child"}, os.Stdout
			child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := child.Start(); err != nil {
				panic(err)
			}
			fmt.Println(child.Process.Pid)
			os.Exit(0)
		}
		time.Sleep(time.Minute)
	}
	os.Exit(m.Run())
}

// sh is a command that runs a script, and what it prints.
func sh(script string) (Command, *Capture) {
	out := NewCapture(1 << 16)
	return Command{Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")},
		Stdout: out, Stderr: out, Memory: 1 << 30, Time: time.Minute}, out
}

func run(t *testing.T, ctx context.Context, c Command) (int, error) {
	t.Helper()
	p, err := Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return p.Wait()
}

func TestExit(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 128 + 15} {
		c, _ := sh(script)
		if code, err := run(t, t.Context(), c); code != want || err != nil {
			t.Errorf("%s: %d, %v", script, code, err)
		}
	}
}

func TestNothingIsInherited(t *testing.T) {
	t.Setenv("SECRET", "x")
	c, out := sh("cat; pwd; env | grep -v ^PWD= | grep -v ^_= | grep -v ^SHLVL=; echo err >&2")
	c.Stdin, c.Dir, c.Env = strings.NewReader("in\n"), "/", []string{"A=b"}
	code, err := run(t, t.Context(), c)
	if want := "in\n/\nA=b\nerr\n"; out.String() != want || code != 0 || err != nil {
		t.Errorf("got %q, want %q; %d, %v", out, want, code, err)
	}
	c, out = sh("cat; [ -t 0 ] || echo no terminal; : </dev/tty")
	if _, err := run(t, t.Context(), c); err != nil || !strings.HasPrefix(out.String(), "no terminal\n") || !strings.Contains(out.String(), "/dev/tty") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestRefusals(t *testing.T) {
	c, _ := sh("exit 0")
	c.Memory = 0
	if _, err := Start(t.Context(), c); err == nil {
		t.Error("started without a memory limit")
	}
	c, _ = sh("exit 0")
	c.Path = "/no/such/program"
	if _, err := Start(t.Context(), c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// alive reports whether a process still runs. A dead one may wait a moment to
// be reaped by the init process.
func alive(pid int) bool {
	if err := syscall.Kill(pid, 0); err == syscall.ESRCH {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func expectGone(t *testing.T, pids string) {
	t.Helper()
	fields := strings.Fields(pids)
	if len(fields) == 0 {
		t.Error("the program told no process")
	}
	for _, f := range fields {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatalf("no process: %q", f)
		}
		for deadline := time.Now().Add(5 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("process %d lives on", pid)
				break
			}
		}
	}
}

// A program that is cancelled dies with all that it started.
func TestCancelEndsTheGroup(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	c, out := sh("trap '' TERM INT HUP; sleep 60 & sleep 60 & echo $$ $!; wait; sleep 60")
	go func() {
		for out.String() == "" {
			time.Sleep(5 * time.Millisecond)
		}
		cancel(errors.New("enough"))
	}()
	start := time.Now()
	if _, err := run(t, ctx, c); err == nil || err.Error() != "enough" {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
	expectGone(t, out.String())
}

// What a program leaves behind when it ends dies as well, and does not keep
// the call waiting by holding its output open.
func TestLeftoversEnd(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("leftovers of a program that ends by itself are looked for on Linux only")
	}
	c, out := sh("sleep 60 & echo $!")
	start := time.Now()
	if code, err := run(t, t.Context(), c); code != 0 || err != nil {
		t.Errorf("got %d, %v", code, err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
	expectGone(t, out.String())
}

// A process that left the group can be neither found nor waited for, but the
// call ends all the same.
func TestEscapedProcessHoldsNothingUp(t *testing.T) {
	out := NewCapture(100)
	start := time.Now()
	code, err := run(t, t.Context(), Command{Path: os.Args[0], Env: []string{escape + "=parent"}, Stdout: out, Memory: 1 << 32, Time: time.Minute})
	if code != 0 || err != nil {
		t.Errorf("got %d, %v", code, err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatalf("no process: %q", out)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the escaped process was gone: %v", err)
	}
}

func TestLimitsAreSet(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("resource limits are set on Linux only")
	}
	for _, box := range []*confine.Box{nil, {}} {
		c, out := sh("sleep 0.3; ulimit -d; ulimit -t; ulimit -c; head -c 300M /dev/zero | tail -c 300M | wc -c")
		c.Memory, c.Time, c.Box = 64<<20, 1500*time.Millisecond, box
		if _, err := run(t, t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.HasPrefix(got, "65536\n3\n0\n") || strings.Contains(got, strconv.Itoa(300<<20)) {
			t.Errorf("with the box %v: %q", box, got)
		}
	}
}

func TestOutputWithoutEnd(t *testing.T) {
	c, _ := sh("yes")
	out := NewCapture(1000)
	c.Stdout = out
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := run(t, ctx, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if s := out.String(); len(s) > 1000 || !strings.HasPrefix(s, "y\ny\n") || !strings.Contains(s, " bytes left out ") {
		t.Errorf("got %q", s)
	}
}
