package chrome

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a Chromium with its folder and its pipes.
type process struct {
	cmd     *exec.Cmd
	dir     string // home and profile; nothing of it is kept
	in      *os.File
	out     *os.File
	lock    *os.File // on dir
	said    *tail
	done    chan struct{} // closed when the browser process was waited for
	killing sync.Once
}

// Where we are root, the browser runs as a user id that nobody has. The range
// is systemd's for users that exist only while a program runs, and within what
// containers map.
const (
	firstID = 61184
	idCount = 4096
)

func startProcess(binary string, args []string) (*process, error) {
	sweep()
	dir, err := os.MkdirTemp("", dirPattern)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p, err := startIn(dir, binary, args)
	if err != nil {
		return nil, errors.Join(err, lock.Close(), os.RemoveAll(dir))
	}
	p.lock = lock
	return p, nil
}

const dirPattern = "chorale-chromium-*"

// lockDir marks a folder as in use until the file is closed, at the latest by
// the end of this process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// sweep removes the folders of browsers whose owner was killed. A folder that
// is just being made is too young to be taken for one.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPattern))
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < time.Second {
			continue
		}
		if lock, err := lockDir(dir); err == nil {
			os.RemoveAll(dir)
			lock.Close()
		}
	}
}

// clear removes the folder.
func (p *process) clear() error {
	err := os.RemoveAll(p.dir)
	p.lock.Close()
	return err
}

func startIn(dir, binary string, args []string) (*process, error) {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		id := uint32(firstID + os.Getpid()%idCount)
		attr.Credential = &syscall.Credential{Uid: id, Gid: id}
		if err := os.Chown(dir, int(id), int(id)); err != nil {
			return nil, fmt.Errorf("give the browser's folder to user id %d, as which it is to run: %w", id, err)
		}
	}
	toBrowser, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, fromBrowser, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, toBrowser.Close(), in.Close())
	}
	defer toBrowser.Close()
	defer fromBrowser.Close()
	p := &process{dir: dir, in: in, out: out, said: &tail{}, done: make(chan struct{})}
	p.cmd = exec.Command(binary, append(args, "--user-data-dir="+p.profile(), "about:blank")...)
	p.cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	p.cmd.Dir = dir
	p.cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser}
	p.cmd.Stderr = p.said
	p.cmd.SysProcAttr = attr
	p.cmd.WaitDelay = time.Second // children may hold stderr open
	started := make(chan error, 1)
	go func() {
		// The kernel kills the browser when the thread that started it ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) profile() string { return filepath.Join(p.dir, "profile") }

// kill ends the browser and its children, and waits until none is left. The
// children are known by their command line: Chromium gives each of them the
// profile's name.
func (p *process) kill() {
	p.killing.Do(func() {
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		quiet := 0
		for end := time.Now().Add(3 * time.Second); quiet < 2 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			quiet++
			for _, child := range p.children() {
				quiet = 0
				syscall.Kill(child.pid, syscall.SIGKILL)
			}
		}
	})
}

type child struct {
	pid      int
	renderer bool
}

// children lists the living processes of this browser.
func (p *process) children() []child {
	entries, _ := os.ReadDir("/proc")
	mark := []byte("--user-data-dir=" + p.profile())
	var out []child
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err != nil || !bytes.Contains(line, mark) {
			continue
		}
		args := bytes.FieldsFunc(line, func(r rune) bool { return r == 0 || r == ' ' })
		renderer := slices.ContainsFunc(args, func(a []byte) bool { return string(a) == "--type=renderer" })
		out = append(out, child{pid, renderer})
	}
	return out
}

// reap kills the renderers that use more than limit bytes and reports whether
// there was one.
func (p *process) reap(limit int64) bool {
	killed := false
	for _, c := range p.children() {
		if c.renderer && resident(c.pid) > limit {
			killed = syscall.Kill(c.pid, syscall.SIGKILL) == nil || killed
		}
	}
	return killed
}

func resident(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// why says why the browser ended.
func (p *process) why() string {
	p.kill()
	said := p.said.String()
	if strings.Contains(said, "No usable sandbox") || strings.Contains(said, "setuid sandbox is not running as root") ||
		strings.Contains(said, "Failed to move to new namespace") {
		return "its sandbox can not be set up here, and it is never run without: allow user namespaces " +
			"(sysctl kernel.unprivileged_userns_clone=1, or kernel.apparmor_restrict_unprivileged_userns=0), " +
			"or install its setuid helper (Debian: sudo apt-get install chromium-sandbox)"
	}
	return fmt.Sprintf("it ended at once (%v), having said: %s", p.cmd.ProcessState, said)
}

// tail keeps the last of what a process writes.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - tailSize; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
