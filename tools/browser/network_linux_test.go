package browser

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"chorale/internal/sandbox/confine"
)

// What a browser sends past the wall must be seen whatever it is sent to. So the
// test runs again as a process with a network of its own, in which every address
// is this machine's, and looks at all packets.

const (
	networkEnv  = "BROWSER_TEST_NETWORK"
	packetsFile = 3 // of that process: the socket that sees all packets
)

// inNetwork runs the calling test in such a process and reports false, or, in
// that process, reports true.
func inNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(networkEnv) != "" {
		return true
	}
	needChromium(t)
	if err := confine.CanJail(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), networkEnv+"=new")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL,
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW},
	}
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1 << 16}}
	if id := os.Geteuid(); id != 0 {
		ids = []syscall.SysProcIDMap{{ContainerID: id, HostID: id, Size: 1}}
	}
	groups := ids
	if id := os.Getegid(); os.Geteuid() != 0 {
		groups = []syscall.SysProcIDMap{{ContainerID: id, HostID: id, Size: 1}}
	}
	cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = ids, groups
	cmd.SysProcAttr.GidMappingsEnableSetgroups = os.Geteuid() == 0
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("in a network of its own: %v", err)
	}
	return false
}

// init makes the network of such a process, on the thread that becomes the test.
func init() {
	if os.Getenv(networkEnv) != "new" {
		return
	}
	if err := makeNetwork(); err != nil {
		log.Fatal("make a network: ", err)
	}
	os.Setenv(networkEnv, "made")
	log.Fatal(syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
}

func makeNetwork() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	up, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, up); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if err := ownAll(family); err != nil {
			return fmt.Errorf("make all addresses ours: %w", err)
		}
	}
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	packets, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, int(all))
	if err != nil {
		return fmt.Errorf("watch packets: %w", err)
	}
	if packets != packetsFile {
		if err := unix.Dup3(packets, packetsFile, 0); err != nil {
			return err
		}
	}
	return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
}

// ownAll routes every address of a family to this machine (rtnetlink(7)).
func ownAll(family uint8) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	const loopback = 1 // the index of lo
	var b bytes.Buffer
	for _, part := range []any{
		unix.NlMsghdr{Len: 36, Type: unix.RTM_NEWROUTE, Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE, Seq: 1},
		unix.RtMsg{Family: family, Table: unix.RT_TABLE_LOCAL, Protocol: unix.RTPROT_BOOT, Scope: unix.RT_SCOPE_HOST, Type: unix.RTN_LOCAL},
		unix.RtAttr{Len: 8, Type: unix.RTA_OIF}, uint32(loopback),
	} {
		if err := binary.Write(&b, binary.NativeEndian, part); err != nil {
			return err
		}
	}
	if err := unix.Sendto(s, b.Bytes(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil {
		return err
	}
	if n < 20 {
		return errors.New("a short answer")
	}
	if code := int32(binary.NativeEndian.Uint32(answer[16:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// watch collects where connections and datagrams go to, as "tcp 127.0.0.1:80",
// but for what goes to or comes from some of our own servers.
type watch struct {
	own  []string
	mu   sync.Mutex
	seen map[string]int
}

func watchPackets(own ...string) *watch {
	w := &watch{own: own, seen: map[string]int{}}
	go func() { // until the process ends
		buf := make([]byte, 1<<17)
		for {
			n, _, err := unix.Recvfrom(packetsFile, buf, 0)
			if err != nil && err != unix.EINTR {
				log.Fatal("watch packets: ", err)
			}
			from, to := ends(buf[:max(n, 0)])
			if to != "" && !slices.Contains(w.own, from) && !slices.Contains(w.own, to) {
				w.mu.Lock()
				w.seen[to]++
				w.mu.Unlock()
			}
		}
	}()
	return w
}

// take returns what was seen since the last take.
func (w *watch) take() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.seen
	w.seen = map[string]int{}
	return out
}

// ends are where a packet that begins something comes from and goes to; empty:
// it begins nothing.
func ends(p []byte) (from, to string) {
	var protocol byte
	var src, dst netip.Addr
	switch {
	case len(p) >= 40 && p[0]>>4 == 6:
		protocol, src, dst = p[6], netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
		p = p[40:]
	case len(p) >= 20 && p[0]>>4 == 4:
		protocol, src, dst = p[9], netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
		p = p[min(int(p[0]&15)*4, len(p)):]
	default:
		return "", ""
	}
	const syn, ack = 1 << 1, 1 << 4
	kind := fmt.Sprint("protocol ", protocol)
	switch {
	case protocol == unix.IPPROTO_TCP && len(p) >= 20 && p[13]&(syn|ack) == syn:
		kind = "tcp"
	case protocol == unix.IPPROTO_UDP && len(p) >= 8:
		kind = "udp"
	case protocol == unix.IPPROTO_TCP || protocol == unix.IPPROTO_ICMP || protocol == unix.IPPROTO_ICMPV6:
		return "", ""
	default:
		return kind, kind + " " + dst.String()
	}
	end := func(a netip.Addr, port []byte) string {
		return kind + " " + netip.AddrPortFrom(a, binary.BigEndian.Uint16(port)).String()
	}
	return end(src, p[:2]), end(dst, p[2:])
}

// nameServer is a DNS server for names below wild.test, with answers that hold
// for no time.
type nameServer struct {
	conn net.PacketConn

	mu    sync.Mutex
	asked map[string]int // for addresses of IPv4, by name
}

func startNames(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &nameServer{conn: conn, asked: map[string]int{}}
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer, err := s.answer(buf[:n]); err == nil {
				conn.WriteTo(answer, from)
			}
		}
	}()
	return s
}

// addresses are what the names stand for. One changes: it is public when asked
// first.
func (s *nameServer) addresses(name string, asked int) []netip.Addr {
	public, here := netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr("127.0.0.1")
	switch name {
	case "private.wild.test.":
		return []netip.Addr{netip.MustParseAddr("10.1.2.3")}
	case "alias.wild.test.":
		return []netip.Addr{netip.MustParseAddr("169.254.169.254")}
	case "mixed.wild.test.":
		return []netip.Addr{public, here}
	case "mapped.wild.test.":
		return []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}
	case "six.wild.test.":
		return []netip.Addr{netip.MustParseAddr("fd00::1"), netip.MustParseAddr("64:ff9b::7f00:1")}
	case "rebind.wild.test.":
		if asked == 1 {
			return []netip.Addr{public}
		}
		return []netip.Addr{here}
	}
	return nil
}

func (s *nameServer) answer(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil, errors.Join(err, errors.New("want one question"))
	}
	q := m.Questions[0]
	name := strings.ToLower(q.Name.String())
	s.mu.Lock()
	if q.Type != dnsmessage.TypeAAAA {
		s.asked[name]++
	}
	found := s.addresses(name, s.asked[name])
	s.mu.Unlock()
	m.Response, m.Additionals = true, nil
	if found == nil {
		m.RCode = dnsmessage.RCodeNameError
	}
	header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 0}
	for _, a := range found {
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return m.Pack()
}

func (s *nameServer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
	return r.LookupNetIP(ctx, "ip", host+".")
}

// take returns which names were asked for.
func (s *nameServer) take() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.asked
	s.asked = map[string]int{}
	return out
}
