package confine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A program with a network of its own needs a listener in that network, which
// only a process in it can make. So this program is started there first, under
// the name portalName: it brings the loopback up, opens a port, hands it out
// over portalFile, gives up the privilege that this took, and becomes the
// program.

const (
	portalName = "chorale-portal"
	portalFile = 3
)

func init() {
	if len(os.Args) > 1 && os.Args[0] == portalName {
		fmt.Fprintln(os.Stderr, "start the program:", passThrough(os.Args[1:]))
		os.Exit(126)
	}
}

// passThrough is the life of the process between its start and the program's.
func passThrough(argv []string) error {
	port, err := openPort()
	if err != nil {
		return err
	}
	if _, err := unix.Read(portalFile, make([]byte, 1)); err != nil {
		return err
	}
	unix.Close(portalFile)
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	none := [2]unix.CapUserData{}
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		return err
	}
	env := os.Environ()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		env = append(env, name+"=http://127.0.0.1:"+strconv.Itoa(port))
	}
	return syscall.Exec(argv[0], argv, append(env, "NODE_USE_ENV_PROXY=1"))
}

// openPort listens on the loopback and sends the listener to our parent.
func openPort() (port int, err error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(s)
	up := struct { // struct ifreq
		name  [unix.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{name: [unix.IFNAMSIZ]byte{'l', 'o'}, flags: unix.IFF_UP}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&up))); errno != 0 {
		return 0, fmt.Errorf("bring the loopback up: %w", errno)
	}
	if err := unix.Bind(s, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	if err := unix.Listen(s, 128); err != nil {
		return 0, err
	}
	at, err := unix.Getsockname(s)
	if err != nil {
		return 0, err
	}
	return at.(*unix.SockaddrInet4).Port, unix.Sendmsg(portalFile, []byte{1}, unix.UnixRights(s), nil, 0)
}

// CanProxy is nil where a program can have a network of its own.
func CanProxy() error {
	switch {
	case !probe().namespaces:
		return errors.New("user namespaces are not allowed on this system")
	case seccompArch == 0:
		return errors.New("there is no filter of system calls for this processor")
	}
	return nil
}

// Portal is the way to a program's own network.
type Portal struct{ ours, theirs *os.File }

// OpenPortal makes cmd, which a Box with a Proxy confines, start through a
// portal. It is called before the thread is confined.
func OpenPortal(cmd *exec.Cmd) (*Portal, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a portal: %w", err)
	}
	p := &Portal{os.NewFile(uintptr(pair[0]), "portal"), os.NewFile(uintptr(pair[1]), "portal")}
	cmd.Args = append([]string{portalName, cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.ExtraFiles = "/proc/self/exe", []*os.File{p.theirs}
	cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN}
	return p, nil
}

// Listener is the port in the started program's network. The program waits for
// Release.
func (p *Portal) Listener() (net.Listener, error) {
	p.theirs.Close()
	rights := make([]byte, unix.CmsgSpace(4))
	n, got, _, _, err := unix.Recvmsg(int(p.ours.Fd()), make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open a portal: %w", err)
	}
	if n == 0 {
		return nil, errors.New("open a portal: the process ended")
	}
	messages, err := unix.ParseSocketControlMessage(rights[:got])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("open a portal: no listener came: %w", err)
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, fmt.Errorf("open a portal: %w", err)
	}
	f := os.NewFile(uintptr(files[0]), "listener")
	defer f.Close()
	return net.FileListener(f)
}

// Release lets the program begin.
func (p *Portal) Release() error {
	_, err := p.ours.Write([]byte{1})
	return err
}

// Close closes our end of the portal.
func (p *Portal) Close() { p.ours.Close(); p.theirs.Close() }
