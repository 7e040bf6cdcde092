//go:build !linux

package chrome

import (
	"errors"
	"os"

	"chorale/internal/sandbox/confine"
)

type process struct {
	dir     string
	in, out *os.File
}

// startProcess refuses: how to keep Chromium in its sandbox and to leave no
// process behind is worked out for Linux only.
func startProcess(Config) (*process, error) {
	return nil, errors.New("pages with scripts can be opened on Linux only")
}

func (p *process) pid() int        { return 0 }
func (p *process) kill()           {}
func (p *process) reap(int64) bool { return false }
func (p *process) why() string     { return "" }
func (p *process) clear() error    { return nil }

// CanJail says why Chromium would not be jailed.
func CanJail(string) error { return confine.CanJail() }
