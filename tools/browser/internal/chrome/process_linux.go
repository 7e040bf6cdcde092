package chrome

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
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

	"chorale/internal/sandbox/confine"
)

// process is a Chromium with its folder, its pipes and its way out.
type process struct {
	cmd     *exec.Cmd
	jailed  bool      // in namespaces of its own
	proxy   io.Closer // all that it can reach
	dir     string    // home and profile; nothing of it is kept
	in      *os.File
	out     *os.File
	lock    *os.File // on dir
	said    *tail
	done    chan struct{} // closed when the browser process was waited for
	killing sync.Once
}

// startProcess runs Chromium, in a jail unless that is not wanted.
func startProcess(c Config) (*process, error) {
	sweep()
	dir, err := os.MkdirTemp("", dirPattern)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p, err := startIn(dir, c)
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

// clear ends the proxy and removes the folder.
func (p *process) clear() error {
	err := errors.Join(p.proxy.Close(), os.RemoveAll(p.dir))
	p.lock.Close()
	return err
}

func startIn(dir string, c Config) (*process, error) {
	if err := os.Chown(dir, confine.JailUser(), -1); err != nil {
		return nil, fmt.Errorf("give the browser's folder to user id %d, as which it is to run: %w", confine.JailUser(), err)
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
	p := &process{dir: dir, in: in, out: out, said: &tail{}, done: make(chan struct{}), jailed: !c.NoJail}
	p.cmd = exec.Command(c.Binary)
	p.cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	p.cmd.Dir = dir
	p.cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser}
	p.cmd.Stderr = p.said
	p.cmd.WaitDelay = time.Second // children may hold stderr open
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if p.jailed {
		err = p.startJailed(c)
	} else {
		err = p.startOpen(c)
	}
	if err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	return p, nil
}

func (p *process) flags(proxy, pin string) []string {
	return append(flags(proxy, pin), "--user-data-dir="+p.profile(), "about:blank")
}

func (p *process) startJailed(c Config) error {
	p.cmd.Args = append(p.cmd.Args, p.flags(confine.ProxyAddr, c.Pin)...)
	portal, err := jail(p.cmd, p.dir)
	if err != nil {
		return err
	}
	defer portal.Close()
	if err := p.run(); err != nil {
		return err
	}
	if p.proxy, err = admit(portal, c.Serve); err != nil {
		p.kill()
	}
	return err
}

// startOpen starts the browser in the host's own namespaces. What keeps it from
// the network then is its command line, and who may use the proxy is asked of
// the kernel.
func (p *process) startOpen(c Config) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.proxy = c.Serve(guarded{l, p.pids})
	p.cmd.Args = append(p.cmd.Args, p.flags(l.Addr().String(), c.Pin)...)
	if os.Geteuid() == 0 {
		id := uint32(confine.JailUser())
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: id, Gid: id}
	}
	if err := p.run(); err != nil {
		return errors.Join(err, p.proxy.Close())
	}
	return nil
}

// run starts the command and waits for its end elsewhere.
func (p *process) run() error {
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
	return <-started
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) profile() string { return filepath.Join(p.dir, "profile") }

// kill ends the browser and its children, and waits until none is left. In a
// jail the browser is process 1, whose end is that of all. Outside of one the
// children are known by their command line: Chromium gives each of them the
// profile's name.
func (p *process) kill() {
	p.killing.Do(func() {
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		quiet := 0
		for end := time.Now().Add(3 * time.Second); !p.jailed && quiet < 2 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			quiet++
			for _, pid := range p.pids() {
				quiet = 0
				syscall.Kill(pid, syscall.SIGKILL)
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

func (p *process) pids() (out []int) {
	for _, c := range p.children() {
		out = append(out, c.pid)
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
