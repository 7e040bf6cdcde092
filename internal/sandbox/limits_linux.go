package sandbox

import (
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"chorale/internal/sandbox/confine"
)

func isolate(cmd *exec.Cmd, box *confine.Box) {
	// A session of its own: a group to kill, and no terminal to read from.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if box != nil {
		cmd.SysProcAttr.Cloneflags = confine.Namespaces(*box)
	}
}

func firstThread() bool { return unix.Gettid() == os.Getpid() }

// restrict sets what the program and all it starts may use, each. RLIMIT_DATA
// counts what can be written to; RLIMIT_AS would also count address space that
// runtimes only reserve. The processor time is a backstop: it ends a program
// that left the group and spins. The calls fail only if the program has ended.
func restrict(pid int, c Command) {
	seconds := uint64((c.Time + time.Second - 1) / time.Second)
	done := make(chan struct{})
	go func() { // a confined thread may set no limits of others
		defer close(done)
		for limit, n := range map[int]uint64{
			unix.RLIMIT_DATA: uint64(c.Memory),
			unix.RLIMIT_CPU:  seconds + 1,
			unix.RLIMIT_CORE: 0,
		} {
			_ = unix.Prlimit(pid, limit, &unix.Rlimit{Cur: n, Max: n}, nil)
		}
	}()
	<-done
}

// awaitExit waits until the program has ended and leaves it to be reaped. It
// reports whether it could.
func awaitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err == nil
		}
	}
}
