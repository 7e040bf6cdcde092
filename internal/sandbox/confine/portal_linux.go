package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A program with a network of its own needs a listener in that network, which
// only a process in it can make. So this program is started there first, under
// the name portalName: it makes the program's world, opens a port, hands it out
// over the portal's file, gives up the privileges that this took, and becomes
// the program.

const (
	portalName = "chorale-portal"
	portalPort = 61080 // above what programs are given that ask for any port
)

// ProxyAddr is where a program with a network of its own finds its proxy.
var ProxyAddr = "127.0.0.1:" + strconv.Itoa(portalPort)

// passage is what the process between its start and the program's is told.
type passage struct {
	File int   // the descriptor of the portal
	Jail *Jail // to build; nil: the host's files
}

func init() {
	if len(os.Args) > 2 && os.Args[0] == portalName {
		fmt.Fprintln(os.Stderr, "start the program:", passThrough(os.Args[1], os.Args[2:]))
		os.Exit(126)
	}
}

// passThrough is the life of the process between its start and the program's.
// It runs on the process's first thread, as all of init does.
func passThrough(told string, argv []string) error {
	var p passage
	if err := json.Unmarshal([]byte(told), &p); err != nil {
		return err
	}
	unix.CloseOnExec(p.File)
	if err := p.open(); err != nil {
		_, werr := unix.Write(p.File, append([]byte{0}, err.Error()...))
		return errors.Join(err, werr)
	}
	if n, err := unix.Read(p.File, make([]byte, 1)); n == 0 || err != nil {
		return errors.Join(errors.New("nobody let it begin"), err)
	}
	return syscall.Exec(argv[0], argv, os.Environ())
}

// open makes the program's world, hands its port out, and gives up all rights
// that this took.
func (p *passage) open() error {
	if p.Jail != nil {
		if err := p.Jail.build(); err != nil {
			return err
		}
	}
	listener, err := openPort()
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	if err := dropCapabilities(); err != nil {
		return err
	}
	if p.Jail != nil {
		if err := p.Jail.shut(); err != nil {
			return err
		}
	}
	return unix.Sendmsg(p.File, []byte{1}, unix.UnixRights(listener), nil, 0)
}

func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	none := [2]unix.CapUserData{}
	return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0])
}

// openPort listens on the loopback, which it brings up.
func openPort() (listener int, err error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	up, err := unix.NewIfreq("lo")
	if err == nil {
		up.SetUint16(unix.IFF_UP)
		if err = unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, up); err != nil {
			err = fmt.Errorf("bring the loopback up: %w", err)
		}
	}
	if err == nil {
		err = unix.Bind(s, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: portalPort})
	}
	if err == nil {
		err = unix.Listen(s, 128)
	}
	if err != nil {
		unix.Close(s)
	}
	return s, err
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
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		cmd.Env = append(cmd.Env, name+"=http://"+ProxyAddr)
	}
	cmd.Env = append(cmd.Env, "NODE_USE_ENV_PROXY=1")
	cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN}
	return openPortal(cmd, nil)
}

func openPortal(cmd *exec.Cmd, jail *Jail) (*Portal, error) {
	const firstExtra = 3 // the descriptor of the first of exec.Cmd's ExtraFiles
	told, err := json.Marshal(passage{File: firstExtra + len(cmd.ExtraFiles), Jail: jail})
	if err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a portal: %w", err)
	}
	p := &Portal{os.NewFile(uintptr(pair[0]), "portal"), os.NewFile(uintptr(pair[1]), "portal")}
	cmd.Args = append([]string{portalName, string(told), cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.ExtraFiles = "/proc/self/exe", append(cmd.ExtraFiles, p.theirs)
	return p, nil
}

// Listener is the port in the started program's network. The program waits for
// Release.
func (p *Portal) Listener() (net.Listener, error) {
	p.theirs.Close()
	said, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, got, _, _, err := unix.Recvmsg(int(p.ours.Fd()), said, rights, unix.MSG_CMSG_CLOEXEC)
	switch {
	case err != nil:
		return nil, fmt.Errorf("open a portal: %w", err)
	case n == 0:
		return nil, errors.New("open a portal: the process ended")
	case said[0] == 0:
		return nil, fmt.Errorf("open a portal: %s", said[1:n])
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
