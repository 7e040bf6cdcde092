// Package confine takes rights away from a process that is about to be started:
// the files that it may touch (Landlock), the network (seccomp, and namespaces
// of its own), and other processes (seccomp too). It works on the calling thread, whose
// children inherit what is left, so that no helper program is needed.
//
// Or it builds a jail around a program: a root folder, processes and a network of
// its own. That, and a network for a proxy, is prepared by this program itself,
// started a second time.
//
// It can only take away. What the kernel cannot do is named and not pretended.
package confine

// Box is what a process may still do. The zero value may use nothing but the
// system's programs and libraries.
type Box struct {
	Read    []string // files and folders to read and to execute; absolute
	Write   []string // those to change as well
	Network bool
	// Proxy gives it a network of its own instead, in which nothing is but the
	// proxy that Portal opens a port for.
	Proxy bool
}

// system is what programs need to run at all: programs, libraries, settings,
// and what the kernel tells of itself. No user's files lie there.
var system = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store", "/gnu/store", "/snap",
	"/proc", "/sys", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/run/systemd/resolve",
}

// devices take what is written to them and keep nothing.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full"}
