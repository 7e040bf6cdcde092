//go:build unix && !linux

package sandbox

import (
	"os/exec"
	"syscall"

	"chorale/internal/sandbox/confine"
)

func firstThread() bool { return false }

func isolate(cmd *exec.Cmd, _ *confine.Box) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// restrict does nothing: other systems set limits only from within the program.
func restrict(int, Command) {}

// awaitExit cannot wait without reaping here. So the group is killed when ctx
// is done, but what a program leaves behind when it ends by itself is not.
func awaitExit(int) bool { return false }
