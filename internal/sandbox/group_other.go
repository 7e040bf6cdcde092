//go:build !unix

package sandbox

import (
	"errors"
	"os"
	"os/exec"

	"chorale/internal/sandbox/confine"
)

const supported = false

func isolate(*exec.Cmd, *confine.Box) {}

func firstThread() bool { return false }

func restrict(int, Command) {}

func awaitExit(int) bool { return false }

func killGroup(int) error { return errors.ErrUnsupported }

func terminateGroup(int) {}

func exitCode(s *os.ProcessState) int { return s.ExitCode() }
