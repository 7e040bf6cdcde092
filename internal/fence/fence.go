// Package fence holds the programs of a run within what policies leave of the
// folders and hosts that declarations grant. What a declaration asks for and a
// policy does not leave is an error before anything runs; and it is asked again
// each time that a program starts.
//
// It grants nothing. A nil Fence is the absence of policies.
package fence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"

	"chorale/internal/mount"
	"chorale/internal/sandbox"
	"chorale/internal/sandbox/confine"
	"chorale/internal/wall"
)

// Fence is what all policies of a run leave.
type Fence struct {
	dir    string // that relative paths of policies start from
	mounts []mount.List
	hosts  []list
}

type list struct {
	entries []string
	rule    wall.Rule
}

// New is what lists of hosts and of folders leave, each list what one policy
// permits. No lists leave everything.
func New(hosts [][]string, mounts []mount.List, dir string) (*Fence, error) {
	f := &Fence{dir: dir, mounts: mounts}
	for _, entries := range hosts {
		rule, err := wall.ParseRule(entries)
		if err != nil {
			return nil, fmt.Errorf("hosts: %w", err)
		}
		f.hosts = append(f.hosts, list{entries, rule})
	}
	return f, nil
}

// Folder is the file or folder that a path leads to, if every policy permits it.
func (f *Fence) Folder(path string, mode mount.Mode) (string, error) {
	if f == nil || len(f.mounts) == 0 {
		return path, nil
	}
	at, permits, err := f.Permits(path, mode)
	if err != nil {
		return "", err
	}
	for _, p := range permits {
		if p.By == nil {
			return "", fmt.Errorf("%s (%s) is not permitted by the mounts of the policy %s, which are %v", path, mode, p.List.From, p.List.Entries)
		}
	}
	return at, nil
}

// Permit is what one policy says of a folder.
type Permit struct {
	List mount.List
	By   *mount.Entry // that permits it; nil: none does
}

// Permits is where a path leads to, and what each policy that has a say on
// folders says of it.
func (f *Fence) Permits(path string, mode mount.Mode) (at string, out []Permit, err error) {
	if at, err = mount.Resolve("", path); err != nil {
		return "", nil, err
	}
	for _, l := range f.mounts {
		p := Permit{List: l}
		if e, ok := l.Permits(f.dir, at, mode); ok {
			p.By = &e
		}
		out = append(out, p)
	}
	return at, out, nil
}

// Any is the origin of a program that may reach any host.
const Any = "*"

// Reach refuses an origin that a policy does not allow. A program that may reach
// any is held to the policies' hosts, where that can be done.
func (f *Fence) Reach(origin string) error {
	if f == nil {
		return nil
	}
	for _, l := range f.hosts {
		if l.rule.All() {
			continue
		}
		if origin == Any {
			if err := confine.CanProxy(); err != nil {
				return fmt.Errorf("reaches any host, and the hosts of a policy are %q, which it cannot be held to here: %w", l.entries, err)
			}
			continue
		}
		if u, err := url.Parse(origin); err != nil || l.rule.CheckURL(u) != nil {
			return fmt.Errorf("reaches %s, and the hosts of a policy are %q", origin, l.entries)
		}
	}
	return nil
}

// rule is what programs with a network may reach; all if there is none.
func (f *Fence) rule() (r wall.Rule, narrow bool) {
	if f == nil {
		return r, false
	}
	for _, l := range f.hosts {
		switch {
		case l.rule.All():
		case !narrow:
			r, narrow = l.rule, true
		default:
			r = r.Meet(l.rule)
		}
	}
	return r, narrow
}

// Program is a command whose box holds what its declaration grants.
type Program struct {
	sandbox.Command
	Scratch string // a folder of its own
	Implied string // a folder that it reads besides, unless a policy leaves it out
}

// Start starts a program within the fence. Its own file it may always read.
func (f *Fence) Start(ctx context.Context, p Program) (*sandbox.Proc, error) {
	c, box := p.Command, confine.Box{Network: p.Box.Network, Read: []string{p.Path}, Write: []string{p.Scratch}}
	var errs []error
	grant := func(to *[]string, mode mount.Mode, paths []string) {
		for _, path := range paths {
			at, err := f.Folder(path, mode)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			*to = append(*to, at)
		}
	}
	grant(&box.Read, mount.ReadOnly, p.Box.Read)
	grant(&box.Write, mount.ReadWrite, p.Box.Write)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	grant(&box.Read, mount.ReadOnly, []string{p.Implied}) // what is refused of it is left out
	if rule, narrow := f.rule(); box.Network && narrow {
		if err := f.Reach(Any); err != nil {
			return nil, err
		}
		c.Proxy = func(l net.Listener) io.Closer {
			p := wall.NewProxy(l, &wall.Dialer{Rule: rule}, wall.Limits{Body: math.MaxInt64})
			p.Allow(math.MaxInt64, math.MaxInt64)
			return p
		}
	}
	c.Box = &box
	return sandbox.Start(ctx, c)
}
