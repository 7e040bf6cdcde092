package python

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const secret = "host-secret-4711"

// TestNothingOfTheHostIsReachable lets the guest try. A cell prints what it
// found; anything but an error is looked through for the host's secret.
func TestNothingOfTheHostIsReachable(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "scratch")
	outside := filepath.Join(base, "outside")
	for _, d := range []string{dir, outside} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write := func(path string) {
		if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "secret.txt"))
	write(filepath.Join(base, "secret.txt"))
	// Links that somebody else has put into the folder.
	for link, target := range map[string]string{
		"link-up": "../secret.txt", "link-abs": filepath.Join(base, "secret.txt"),
		"dir-up": "../outside", "dir-abs": outside, "dir-root": "/", "dir-dots": "../../../../..",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOST_SECRET", secret)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	connected := make(chan struct{}, 1)
	go func() {
		if c, err := listener.Accept(); err == nil {
			connected <- struct{}{}
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())

	s := newSession(t, Options{Dir: dir})
	run(t, s, `
import os, sys
def attempt(name, f):
    try: print(name, '->', f())
    except BaseException as e: print(name, 'refused', type(e).__name__)
def read(path, **k):
    fd = os.open(path, os.O_RDONLY, **k)
    try: return os.read(fd, 100)
    finally: os.close(fd)
BASE = `+quote(base)+`
PORT = `+port)
	for _, tt := range []struct{ name, code string }{
		{"absolute paths", `for p in ('/etc/passwd', '/etc/hostname', '/proc/self/environ', '/proc/1/cmdline', '/sys/kernel', '/dev/null', '/dev/urandom', '/tmp', BASE + '/secret.txt', '//etc/passwd', '/./etc/passwd', '/mnt/../etc/passwd'):
    attempt(p, lambda: open(p).read(100))
    attempt(p, lambda: os.listdir(p))
    attempt(p, lambda: os.stat(p))`},
		{"parent folders", `for p in ('../secret.txt', '../../secret.txt', '/mnt/data/../secret.txt', '/mnt/data/../../../../../../etc/passwd', 'a/../../secret.txt', './../secret.txt', '..//secret.txt', '/mnt/data/..'):
    attempt(p, lambda: read(p))
    attempt(p, lambda: open(p, 'w'))
    attempt(p, lambda: os.listdir(p))
    attempt(p, lambda: os.mkdir(p + '/x'))`},
		{"folder descriptors", `for base in ('/mnt/data', '/', '.', '/mnt'):
    fd = os.open(base, os.O_RDONLY)
    for p in ('../secret.txt', '../../secret.txt', '../../../../../../../etc/passwd', '/etc/passwd', 'data/../../secret.txt', 'dir-up/secret.txt'):
        attempt(p, lambda: read(p, dir_fd=fd))
        attempt(p, lambda: os.stat(p, dir_fd=fd))
for fd in range(50):
    attempt(fd, lambda: read('../secret.txt', dir_fd=fd))
    attempt(fd, lambda: read('etc/passwd', dir_fd=fd))`},
		{"links of the host", `for p in ('link-up', 'link-abs', 'dir-up/secret.txt', 'dir-abs/secret.txt', 'dir-root/etc/passwd', 'dir-dots/etc/passwd', 'dir-up/../secret.txt'):
    attempt(p, lambda: open(p).read())
    attempt(p, lambda: open(p, 'w').write('x'))
    attempt(p, lambda: os.listdir(p))
    attempt(p, lambda: os.stat(p))
    attempt(p, lambda: os.readlink(p))
    attempt(p, lambda: os.rename(p, 'moved'))
    attempt(p, lambda: os.utime(p))`},
		{"links of the guest", `for target in ('../secret.txt', '/etc/passwd', BASE + '/secret.txt', '../outside', 'own', '.'):
    attempt(target, lambda: os.symlink(target, 'made'))
    attempt(target, lambda: open('made').read())
    attempt(target, lambda: os.link(target, 'hard'))
    attempt(target, lambda: open('hard').read())
os.mkdir('sub')
attempt('swap', lambda: os.rename('sub', '../sub'))
attempt('swap', lambda: os.rename('../secret.txt', 'sub/secret.txt'))
attempt('replace', lambda: os.replace('/etc/passwd', 'passwd'))`},
		{"environment and arguments", `print(dict(os.environ), sys.argv, sys.orig_argv, sys.executable, sys.flags)`},
		{"network", `import socket
def connect(family, kind, address):
    s = socket.socket(family, kind); s.settimeout(1); s.connect(address)
attempt('tcp', lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', PORT)))
attempt('udp', lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ('127.0.0.1', PORT)))
attempt('lookup', lambda: socket.getaddrinfo('localhost', 80))
attempt('listen', lambda: socket.create_server(('', 0)))
attempt('adopt', lambda: [socket.socket(fileno=fd).recv(1) for fd in range(10)])
import urllib.request
attempt('http', lambda: urllib.request.urlopen('http://127.0.0.1:%d/' % PORT, timeout=1).read())`},
		{"processes", `import subprocess
attempt('run', lambda: subprocess.run(['/bin/sh', '-c', 'id']))
attempt('system', lambda: os.system('id'))
attempt('popen', lambda: os.popen('id').read())
attempt('fork', lambda: os.fork())
attempt('exec', lambda: os.execv('/bin/sh', ['sh']))
attempt('kill', lambda: os.kill(1, 0))
attempt('pid', lambda: os.getppid())
import threading
attempt('thread', lambda: threading.Thread(target=print).start())`},
		{"native code", `import importlib
for m in ('ctypes', 'cffi', '_ctypes', 'mmap', 'fcntl', 'pwd', 'grp', 'resource', 'termios', 'multiprocessing'):
    attempt(m, lambda: importlib.import_module(m))`},
		{"system information", `import platform, time
attempt('uname', lambda: os.uname())
attempt('node', lambda: platform.node())
attempt('login', lambda: os.getlogin())
attempt('home', lambda: os.path.expanduser('~'))
attempt('cpus', lambda: os.cpu_count())`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := run(t, s, tt.code)
			if out.Err != nil || out.Lost != "" {
				t.Fatalf("the attempt itself failed: %s", out.Text)
			}
			if strings.TrimSpace(out.Stdout) == "" {
				t.Fatal("the attempt tried nothing")
			}
			host, _ := os.Hostname()
			for _, no := range []string{secret, "root:", " uid=", "4711", host} {
				if no != "" && strings.Contains(strings.ReplaceAll(out.Stdout, base, ""), no) {
					t.Errorf("the guest has seen %q:\n%s", no, out.Stdout)
				}
			}
			t.Logf("%d attempts", strings.Count(out.Stdout, "\n"))
		})
	}
	select {
	case <-connected:
		t.Error("the guest has reached a port of the host")
	default:
	}
	for _, path := range []string{filepath.Join(base, "secret.txt"), filepath.Join(outside, "secret.txt")} {
		if b, err := os.ReadFile(path); err != nil || string(b) != secret {
			t.Errorf("%s: %q, %v: the guest has changed it", path, b, err)
		}
	}
	if entries, err := os.ReadDir(base); err != nil || len(entries) != 3 {
		t.Errorf("the guest has put something outside its folder: %v, %v", entries, err)
	}
}

// TestDeepFolders moves folders into each other until no path reaches the end.
func TestDeepFolders(t *testing.T) {
	s := newSession(t, Options{})
	out := run(t, s, `
import os
os.mkdir('top')
for n in range(60):
    os.makedirs('new/' + '/'.join(['x' * 200] * 4))
    if os.path.exists('old'): os.rename('old', 'new/' + '/'.join(['x' * 200] * 4) + '/y')
    os.rename('new', 'old')
open('old/file', 'w').write('here')`)
	if out.Err != nil || out.Lost != "" || len(out.Artifacts) > 1 {
		t.Fatalf("%s %v", out.Text, out.Artifacts)
	}
	want(t, s, "os._exit(1)", "[The Python interpreter was restarted because the code ended it with exit code 1. Variables and imports are gone; files in /mnt/data are kept.]\n")
	want(t, s, "open('old/file').read()", "'here'")
	out = run(t, s, "open('/mnt/data/' + 'a/' * 2000 + 'b', 'w')\n")
	if out.Err == nil || out.Err.Type != "OSError" || !strings.HasPrefix(out.Err.Message, "[Errno 37] Filename too long: '/mnt/data/a/a/") {
		t.Errorf("%.200s", out.Text)
	}
}

func quote(s string) string { return "r'''" + s + "'''" }

// TestClocksAreCoarse reads each clock many times: no two readings may lie
// closer together than a millisecond without being equal.
func TestClocksAreCoarse(t *testing.T) {
	s := newSession(t, Options{})
	want(t, s, `
import time
def fine(clock):
    seen = sorted({clock() for _ in range(20000)})
    return any(0 < b - a < 999_000 for a, b in zip(seen, seen[1:]))
[c.__name__ for c in (time.time_ns, time.monotonic_ns, time.perf_counter_ns, time.process_time_ns) if fine(c)]`, "[]")
	want(t, s, "a = time.monotonic(); time.sleep(0.05); 0.045 < time.monotonic() - a < 2", "True")
	want(t, s, "import datetime\nabs(datetime.datetime.now(datetime.timezone.utc).timestamp() - time.time()) < 1", "True")
}

func TestQuotas(t *testing.T) {
	s := newSession(t, Options{Disk: 1 << 20, Files: 10, Handles: 5})
	for _, tt := range []struct{ name, code, says string }{
		{"bytes", "open('big', 'wb').write(bytes(2 << 20))", "1048576 bytes"},
		{"creeping", "with open('big', 'ab') as f:\n    while True: f.write(bytes(10_000))", "1048576 bytes"},
		{"hole", "with open('hole', 'wb') as f:\n    f.seek(1 << 40)\n    f.write(b'x')", "1048576 bytes"},
		{"truncate", "with open('hole', 'wb') as f: f.truncate(1 << 40)", "1048576 bytes"},
		{"allocate", "import os\nfd = os.open('hole', os.O_RDWR)\ntry: os.posix_fallocate(fd, 0, 1 << 30)\nfinally: os.close(fd)", "1048576 bytes"},
		{"files", "for i in range(100): open(f'f{i}', 'w').close()", "10 files"},
		{"folders", "import os\nfor i in range(100): os.mkdir(f'd{i}')", "10 files"},
		{"handles", "hold = []\nfor i in range(100): hold.append(open('big'))", "5 files are open"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tested == Full && tt.name == "allocate" {
				t.Skip("the full interpreter has no posix_fallocate")
			}
			out := run(t, s, tt.code)
			if out.Err == nil || out.Err.Type != "OSError" || !strings.Contains(out.Text, "[/mnt/data: ") || !strings.Contains(out.Text, tt.says) {
				t.Errorf("%+v: %s", out.Err, out.Text)
			}
			if size := folderSize(t, s.dir); size > 1<<20 {
				t.Errorf("the folder holds %d bytes", size)
			}
		})
	}
	// What is deleted can be written again.
	want(t, s, "hold = None\nimport os, shutil\nfor n in os.listdir('.'):\n    shutil.rmtree(n) if os.path.isdir(n) else os.remove(n)\nopen('again', 'wb').write(bytes(1 << 20))", "1048576")
}
