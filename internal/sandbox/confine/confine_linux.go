package confine

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Thread confines the calling thread for good: its goroutine must be locked to
// it and never unlocked, so that the thread ends with the goroutine. Processes
// that it starts afterwards are confined with it.
func Thread(b Box) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("confine: no new privileges: %w", err)
	}
	if landlockABI() > 0 {
		if err := landlock(b); err != nil {
			return fmt.Errorf("confine: Landlock: %w", err)
		}
	}
	if seccompArch == 0 {
		return nil
	}
	filter := ownProcessOnly()
	switch {
	case b.Proxy: // sockets of files would lead out of its network
		filter = append(filter, noSockets(unix.AF_INET, unix.AF_INET6)...)
	case !b.Network:
		filter = append(filter, noSockets()...)
	}
	if err := install(filter); err != nil {
		return fmt.Errorf("confine: seccomp: %w", err)
	}
	return nil
}

// Namespaces are the flags that start a process in namespaces of its own, as
// far as they can be had. In its user namespace it has no privileges outside.
func Namespaces(b Box) uintptr {
	if !probe().namespaces {
		return 0
	}
	flags := uintptr(unix.CLONE_NEWUSER | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS)
	if !b.Network || b.Proxy {
		flags |= unix.CLONE_NEWNET
	}
	return flags
}

// Missing names what this system cannot do, in words for a person.
func Missing() []string {
	var out []string
	abi := landlockABI()
	if abi == 0 {
		out = append(out, "commands can read and change all files that you can (the kernel has no Landlock)")
	}
	if seccompArch == 0 {
		out = append(out, "commands can change limits and priorities of your other processes (no filter of system calls for "+runtime.GOARCH+")")
	}
	if !probe().namespaces {
		out = append(out, "commands share our namespaces (user namespaces are not allowed here)")
		if seccompArch == 0 {
			out = append(out, "commands can use the network (no filter of system calls for "+runtime.GOARCH+")")
		}
	}
	return out
}

type found struct{ namespaces bool }

// probe finds out whether namespaces can be had: a program that cannot be
// executed is started in them, and the error says how far that came.
var probe = sync.OnceValue(func() found {
	cmd := exec.Command("/")
	cmd.Path, cmd.Err = "/", nil
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNET}
	_, err := os.StartProcess(cmd.Path, []string{"/"}, &os.ProcAttr{Sys: cmd.SysProcAttr})
	return found{namespaces: err != nil && isAccess(err)}
})

// isAccess reports the error of executing a folder, which comes after the
// namespaces were made.
func isAccess(err error) bool {
	pe, ok := err.(*os.PathError)
	return ok && pe.Err == syscall.EACCES
}

// landlockABI is the version that the kernel has; 0: none.
var landlockABI = sync.OnceValue(func() int {
	const version = 1 // LANDLOCK_CREATE_RULESET_VERSION
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, version)
	if errno != 0 {
		return 0
	}
	return int(abi)
})

// The rights that Landlock knows, by the version that brought them
// (linux/landlock.h).
const (
	readRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	fileRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	firstRights = 1<<13 - 1
)

// rules is struct landlock_ruleset_attr.
type rules struct{ fs, net, scoped uint64 }

// beneath is struct landlock_path_beneath_attr, which is packed: the kernel
// reads its first 12 bytes.
type beneath struct {
	allowed uint64
	parent  int32
}

func landlock(b Box) error {
	abi := landlockABI()
	handled := rules{fs: firstRights}
	size := unsafe.Sizeof(handled.fs)
	if abi >= 2 {
		handled.fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		handled.fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 4 && !b.Network && !b.Proxy {
		handled.net, size = 1<<0|1<<1, 16 // binding and connecting TCP
	}
	if abi >= 5 {
		handled.fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi >= 7 { // earlier ones also keep our own threads from signalling each other
		handled.scoped, size = 1<<0|1<<1, unsafe.Sizeof(handled) // abstract sockets and signals
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&handled)), size, 0)
	if errno != 0 {
		return fmt.Errorf("make a rule set: %w", errno)
	}
	defer unix.Close(int(fd))
	for _, grant := range []struct {
		paths  []string
		rights uint64
		must   bool
	}{
		{system, readRights, false},
		{devices, fileRights, false},
		{b.Read, readRights, true},
		{b.Write, handled.fs, true},
	} {
		for _, path := range grant.paths {
			if err := allow(int(fd), path, grant.rights&handled.fs); err != nil && (grant.must || !os.IsNotExist(err)) {
				return err
			}
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("restrict: %w", errno)
	}
	return nil
}

func allow(rules int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "grant", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "grant", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= fileRights
	}
	rule := beneath{allowed: rights, parent: int32(fd)}
	const pathBeneath = 1
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), pathBeneath, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	runtime.KeepAlive(&rule)
	if errno != 0 {
		return &os.PathError{Op: "grant", Path: path, Err: errno}
	}
	return nil
}

// seccompArch is the AUDIT_ARCH of this program; 0 where no filter is written.
var seccompArch = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]

// Instructions of a filter.
const (
	load    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	equal   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	atLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	give    = unix.BPF_RET | unix.BPF_K

	allowed      = 0x7fff0000
	denied       = 0x00050000 | uint32(unix.EACCES)
	notPermitted = 0x00050000 | uint32(unix.EPERM)

	offNumber, offArch, offArguments = 0, 4, 16 // in struct seccomp_data
)

// loadArgument loads the lower half of an argument, which is all of an int.
func loadArgument(n uint32) unix.SockFilter {
	return unix.SockFilter{Code: load, K: offArguments + 8*n}
}

// noSockets makes socket(2) and io_uring_setup(2) fail, so that nothing can be
// reached, name servers and local services included. Pairs of sockets between
// own processes stay possible, and sockets of the families that are listed, for
// a process whose network leads nowhere.
func noSockets(families ...uint32) []unix.SockFilter {
	n := uint8(len(families))
	filter := []unix.SockFilter{
		{Code: equal, Jf: 1, K: unix.SYS_IO_URING_SETUP},
		{Code: give, K: denied},
		{Code: equal, Jf: 3 + n, K: unix.SYS_SOCKET},
		loadArgument(0),
	}
	for i, family := range families {
		filter = append(filter, unix.SockFilter{Code: equal, Jt: n - uint8(i), K: family})
	}
	return append(filter, unix.SockFilter{Code: give, K: denied}, unix.SockFilter{Code: give, K: allowed})
}

// ownProcessOnly refuses to set limits, processors and priorities, which Landlock and
// namespaces leave to all processes of a user, but of the calling thread, as number 0: a
// filter does not know what numbers a program has.
func ownProcessOnly() []unix.SockFilter {
	const process, ioProcess, self = 0, 1, 0 // PRIO_PROCESS, IOPRIO_WHO_PROCESS
	var filter []unix.SockFilter
	for _, call := range []uint32{unix.SYS_PRLIMIT64, unix.SYS_SCHED_SETAFFINITY, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETATTR} {
		filter = append(filter, onlyWith(call, self)...)
	}
	filter = append(filter, onlyWith(unix.SYS_SETPRIORITY, process, self)...)
	return append(filter, onlyWith(unix.SYS_IOPRIO_SET, ioProcess, self)...)
}

// onlyWith refuses a call unless its first arguments are these.
func onlyWith(call uint32, first ...uint32) []unix.SockFilter {
	end := uint8(2 * len(first)) // of the comparisons; then it is allowed, or refused
	filter := []unix.SockFilter{{Code: equal, Jf: end + 2, K: call}}
	for i, want := range first {
		filter = append(filter, loadArgument(uint32(i)), unix.SockFilter{Code: equal, Jf: end - uint8(2*i) - 1, K: want})
	}
	return append(filter, unix.SockFilter{Code: give, K: allowed}, unix.SockFilter{Code: give, K: notPermitted})
}

// install holds the thread, and what it starts, to a filter, which begins with
// the call's number loaded. Calls of other processors' programs, which have other
// numbers, are refused.
func install(filter []unix.SockFilter) error {
	const (
		setModeFilter = 1
		otherABI      = 0x40000000 // x32
	)
	filter = slices.Concat([]unix.SockFilter{
		{Code: load, K: offArch},
		{Code: equal, Jf: 2, K: seccompArch},
		{Code: load, K: offNumber},
		{Code: atLeast, Jf: 1, K: otherABI},
		{Code: give, K: denied},
	}, filter, []unix.SockFilter{{Code: give, K: allowed}})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, setModeFilter, 0, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	return nil
}
