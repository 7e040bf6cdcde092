package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Jail is a world of its own for one program: a root folder in which nothing
// of the host is but what is named here, only its own processes, and a network
// in which nothing is but the port of a portal. The program is process 1 of it:
// when it ends, all that it started ends too.
type Jail struct {
	Stage string            // an empty folder, over which the root is built
	User  int               // the user id that the program has: JailUser
	Read  []string          // files and folders of the host, without those that are not there; absolute
	Write []string          // folders of the host that it may change
	Files map[string]string // texts of its own, by their path
}

// OpenJail makes cmd start through a portal, in a jail.
func OpenJail(cmd *exec.Cmd, j Jail) (*Portal, error) {
	attr := cmd.SysProcAttr
	attr.Cloneflags |= unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	group := os.Getegid()
	if os.Geteuid() == 0 { // else the user is us, and the kernel lets us change nothing about groups
		group = j.User
		attr.GidMappingsEnableSetgroups = true
		attr.Credential = &syscall.Credential{Uid: uint32(j.User), Gid: uint32(group)}
	}
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: j.User, HostID: j.User, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: group, HostID: group, Size: 1}}
	attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN}
	return openPortal(cmd, &j)
}

// devs are the devices that a jail has.
var devs = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// build makes the jail's root and moves into it.
func (j *Jail) build() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("part with the host's mounts: %w", err)
	}
	if err := mountNew("tmpfs", j.Stage, "mode=0755,size=16m"); err != nil {
		return err
	}
	root, err := os.OpenRoot(j.Stage)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := j.fill(root); err != nil {
		return err
	}
	if err := seal(j.Stage, unix.MOUNT_ATTR_RDONLY, 0); err != nil {
		return err
	}
	// The old root ends up on top of the new one, and goes.
	if err := os.Chdir(j.Stage); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("part with the host's root: %w", err)
	}
	return os.Chdir(dir)
}

// fill puts into the new root what the program is to find there.
func (j *Jail) fill(root *os.Root) error {
	const quiet = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID
	for _, path := range devs {
		if err := bind(root, path, quiet, 0); err != nil {
			return err
		}
	}
	for _, path := range j.Read {
		if err := bind(root, path, quiet|unix.MOUNT_ATTR_NODEV, unix.MS_REC); err != nil {
			return err
		}
	}
	for _, path := range j.Write {
		// Without what is mounted below, which the stage may be.
		if err := bind(root, path, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, 0); err != nil {
			return err
		}
	}
	for path, text := range j.Files {
		if err := root.MkdirAll(inside(filepath.Dir(path)), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(inside(path), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, m := range []struct{ kind, path, options string }{
		{"proc", "/proc", ""},
		{"tmpfs", "/dev/shm", "mode=1777"},
	} {
		if err := root.MkdirAll(inside(m.path), 0o755); err != nil {
			return err
		}
		if err := mountNew(m.kind, filepath.Join(root.Name(), m.path), m.options); err != nil {
			return err
		}
	}
	return nil
}

// inside is a path of the jail as seen from its root.
func inside(path string) string { return strings.TrimPrefix(filepath.Clean(path), "/") }

func mountNew(kind, at, options string) error {
	err := unix.Mount(kind, at, kind, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options)
	if err != nil {
		return fmt.Errorf("mount a %s of its own: %w", kind, err)
	}
	return nil
}

// bind shows a file or folder of the host at the same path. Symbolic links are
// made anew, since what they lead to may not be there.
func bind(root *os.Root, path string, attributes uint64, recursive uintptr) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	at := inside(path)
	if err := root.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return root.Symlink(to, at)
	case info.IsDir():
		err = root.MkdirAll(at, 0o755)
	default:
		err = root.WriteFile(at, nil, 0o644)
	}
	if err != nil {
		return err
	}
	full := filepath.Join(root.Name(), at)
	if err := unix.Mount(path, full, "", unix.MS_BIND|recursive, ""); err != nil {
		return fmt.Errorf("show %s: %w", path, err)
	}
	flags := uint(0)
	if recursive != 0 {
		flags = unix.AT_RECURSIVE
	}
	return seal(full, attributes, flags)
}

func seal(path string, attributes uint64, flags uint) error {
	err := unix.MountSetattr(unix.AT_FDCWD, path, flags, &unix.MountAttr{Attr_set: attributes})
	if err != nil {
		return fmt.Errorf("restrict the mount of %s: %w", path, err)
	}
	return nil
}

// shut takes away what the program could leave the jail by, and makes sure that
// it can still build sandboxes of its own inside.
func (j *Jail) shut() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	// Sockets of other families, as those to a virtual machine's host, know no
	// namespaces.
	if err := install(noSockets(unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK)); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	if !probe().namespaces {
		return errors.New("there can be no namespaces within namespaces")
	}
	return nil
}

// CanJail is nil where a program can be jailed, which it finds out by jailing
// one that never begins.
var CanJail = sync.OnceValue(func() error {
	if seccompArch == 0 {
		return errors.New("there is no filter of system calls for this processor")
	}
	stage, err := os.MkdirTemp("", "chorale-jail-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	user := JailUser()
	if err := os.Chown(stage, user, -1); err != nil {
		return err
	}
	cmd := exec.Command("/")
	cmd.Path, cmd.Err, cmd.Dir, cmd.Env = "/", nil, "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	portal, err := OpenJail(cmd, Jail{Stage: stage, User: user, Read: []string{"/usr"}})
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		portal.Close()
		return fmt.Errorf("make namespaces: %w", err)
	}
	l, err := portal.Listener()
	if err == nil {
		l.Close()
	}
	portal.Close()
	_ = cmd.Wait() // it ends because nobody lets it begin
	return err
})

// firstID and idCount are systemd's range for users that exist only while a
// program runs. It is within what containers map.
const (
	firstID = 61184
	idCount = 4096
)

// JailUser is a user id for a program that must not be root: our own, or, where
// we are root, one that nobody has.
func JailUser() int {
	if id := os.Geteuid(); id != 0 {
		return id
	}
	return firstID + os.Getpid()%idCount
}
