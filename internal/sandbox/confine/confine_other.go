//go:build !linux

package confine

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
)

// Thread does nothing: see Missing.
func Thread(Box) error { return nil }

// Missing names what this system cannot do, in words for a person.
func Missing() []string {
	return []string{"commands have all your rights: files, network, processes (they are confined on Linux only, not on " + runtime.GOOS + ")"}
}

// CanProxy says why no program can have a network of its own.
func CanProxy() error { return errors.New("programs are confined on Linux only") }

// Portal cannot be had.
type Portal struct{}

// OpenPortal fails: see CanProxy.
func OpenPortal(*exec.Cmd) (*Portal, error) { return nil, CanProxy() }

// Listener fails: see CanProxy.
func (*Portal) Listener() (net.Listener, error) { return nil, CanProxy() }

// Release fails: see CanProxy.
func (*Portal) Release() error { return CanProxy() }

// Close does nothing.
func (*Portal) Close() {}

// ProxyAddr is where a program with a network of its own would find its proxy.
var ProxyAddr = ""

// A Jail cannot be had.
type Jail struct {
	Stage       string
	User        int
	Read, Write []string
	Files       map[string]string
}

// OpenJail fails: see CanJail.
func OpenJail(*exec.Cmd, Jail) (*Portal, error) { return nil, CanJail() }

// CanJail says why no program can be jailed.
func CanJail() error { return CanProxy() }

// JailUser is our own user id.
func JailUser() int { return os.Geteuid() }
