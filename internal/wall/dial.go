package wall

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// A Dialer connects to what a rule allows. It resolves names itself, refuses a
// name if any of its addresses is not globally routable (unless the rule names
// the host), and connects to an address that it checked, so that a second
// answer of the name server changes nothing.
type Dialer struct {
	Rule Rule
	// Lookup replaces the system's resolver; for tests.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Roots are who servers of https must be vouched for by; nil: the system's.
	Roots *x509.CertPool
}

// Dial connects for a scheme ("http", "https", or empty where it is not known)
// to host:port.
func (d *Dialer) Dial(ctx context.Context, scheme, hostport string) (net.Conn, error) {
	name, port, named, err := d.check(scheme, hostport)
	if err != nil {
		return nil, err
	}
	addrs, err := d.lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	if !named {
		for _, a := range addrs {
			if !Routable(a) {
				return nil, &Refusal{name, fmt.Sprintf("its address %s is not a public one; name the host in the allow list to permit that", a)}
			}
		}
	}
	var errs []error
	for _, a := range addrs {
		conn, err := dialChecked(ctx, netip.AddrPortFrom(a, port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// check holds host:port against the rule. named reports that the rule names the
// host itself.
func (d *Dialer) check(scheme, hostport string) (name string, port uint16, named bool, err error) {
	host, p, err := net.SplitHostPort(hostport)
	if err != nil {
		return "", 0, false, &Refusal{hostport, "not host:port"}
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, false, &Refusal{hostport, "bad port"}
	}
	name, named, err = d.Rule.check(scheme, host, uint16(n))
	return name, uint16(n), named, err
}

func (d *Dialer) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a}, nil
	}
	look := d.Lookup
	if look == nil {
		look = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host+".")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	addrs, err := look(ctx, name)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("the name %s could not be resolved in time", name)
	}
	if name == "localhost" && err != nil { // some resolvers do not know it with a dot
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	var notFound *net.DNSError
	if errors.As(err, &notFound) && notFound.IsNotFound || err == nil && len(addrs) == 0 {
		return nil, fmt.Errorf("the host %s does not exist", name)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, err
}

// dialChecked connects to that address and to no other: the control hook sees
// what the system is about to connect to.
func dialChecked(ctx context.Context, want netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{
		Timeout: 10 * time.Second,
		Control: func(_, address string, _ syscall.RawConn) error {
			got, err := netip.ParseAddrPort(address)
			if err != nil || got.Addr().Unmap() != want.Addr() || got.Port() != want.Port() {
				return fmt.Errorf("about to connect to %s, not %s", address, want)
			}
			return nil
		},
	}
	return d.DialContext(ctx, "tcp", want.String())
}

// special lists the address blocks that are not globally routable (the IANA
// special-purpose registries), besides those that netip knows.
var special = func() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

var global6 = netip.MustParsePrefix("2000::/3")

// Routable reports whether an address is one of the public internet.
func Routable(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Zone() != "" {
		return false
	}
	if a.Is6() && !global6.Contains(a) {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
