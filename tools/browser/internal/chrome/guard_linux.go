package chrome

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// guarded is a listener on the host's loopback that only one browser's own
// processes may connect to: other connections are closed unread. It stands in
// for a password, which Chromium can not be given.
type guarded struct {
	net.Listener
	pids func() []int // of the browser
}

func (g guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil || g.knows(c) {
			return c, err
		}
		c.Close()
	}
}

// knows reports whether the other end of a connection is held by one of the
// browser's processes.
func (g guarded) knows(c net.Conn) bool {
	near, err1 := netip.ParseAddrPort(c.LocalAddr().String())
	far, err2 := netip.ParseAddrPort(c.RemoteAddr().String())
	if err1 != nil || err2 != nil {
		return false
	}
	socket := socketOf(far, near)
	return socket != "" && slices.ContainsFunc(g.pids(), func(pid int) bool { return holds(pid, socket) })
}

// socketOf names the socket that is connected from one IPv4 address to another;
// empty: there is none.
func socketOf(from, to netip.AddrPort) string {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return ""
	}
	defer f.Close()
	const local, remote, inode = 1, 2, 9 // columns
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > inode && fields[local] == procAddr(from) && fields[remote] == procAddr(to) {
			return "socket:[" + fields[inode] + "]"
		}
	}
	return ""
}

// procAddr spells an address as /proc/net/tcp does.
func procAddr(a netip.AddrPort) string {
	ip := a.Addr().Unmap().As4()
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), a.Port())
}

// holds reports whether a process has a file open.
func holds(pid int, file string) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, _ := os.ReadDir(dir)
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		to, err := os.Readlink(dir + "/" + e.Name())
		return err == nil && to == file
	})
}
