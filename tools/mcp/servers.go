package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"chorale/internal/fence"
	"chorale/tools"
	"chorale/tools/functions"
)

// Servers are the servers of one run. Close ends them.
type Servers struct{ clients []*client }

// Connect starts or reaches all servers and reads what they declare of the
// tools that are named. Dir of a program's server is where it runs; version is
// told to servers.
func Connect(ctx context.Context, list []Server, version string) (*Servers, error) {
	s := &Servers{}
	for _, server := range list {
		c, err := newClient(server, version)
		if err == nil {
			s.clients = append(s.clients, c)
			err = c.open(ctx)
		}
		if err != nil {
			text := err.Error()
			if c != nil {
				text = c.secrets.Redact(text)
			}
			s.Close()
			return nil, fmt.Errorf("mcp server %s: %s", server.Name, text)
		}
	}
	return s, nil
}

// Declarations are the named tools, in the task's order.
func (s *Servers) Declarations() []Declaration {
	var all []Declaration
	for _, c := range s.clients {
		all = append(all, c.declared...)
	}
	return all
}

// Unaccepted are the declarations that are not pinned, or have changed since.
func (s *Servers) Unaccepted(p Pins) []Declaration {
	var out []Declaration
	for _, d := range s.Declarations() {
		if p.State(d) != Accepted {
			out = append(out, d)
		}
	}
	return out
}

// Set is the tools as functions. All must be accepted. The functions work until
// the servers are closed.
func (s *Servers) Set(p Pins) (*functions.Set, error) {
	if open := s.Unaccepted(p); len(open) > 0 {
		var all []string
		for _, d := range open {
			all = append(all, fmt.Sprintf("%s of %s (%s)", clip(d.Tool), d.Server, p.State(d)))
		}
		return nil, fmt.Errorf("mcp: nobody has accepted what servers declare of %s", strings.Join(all, ", "))
	}
	var all []functions.Function
	for _, c := range s.clients {
		for _, d := range c.declared {
			all = append(all, c.function(d))
		}
	}
	return functions.New(all...)
}

func (c *client) function(d Declaration) functions.Function {
	f := functions.Foreign{
		Name: d.Function, Description: d.Description, Shown: d.Parameters, Checked: d.schema,
		Timeout: c.server.Timeout, Output: c.server.Output,
		Run: func(ctx context.Context, args json.RawMessage, l tools.Limits) (tools.Result, error) {
			return c.call(ctx, d, args, l)
		},
	}
	switch {
	case c.server.URL != "":
		f.Reach = []string{c.server.URL}
	case c.server.Network:
		f.Reach = []string{fence.Any}
	}
	for _, name := range c.server.ReadOnly {
		f.ReadOnly = f.ReadOnly || name == d.Tool
	}
	return f.Function()
}

// Close ends all servers, side by side, and waits until they are gone.
func (s *Servers) Close() error {
	var all sync.WaitGroup
	for _, c := range s.clients {
		all.Go(c.close)
	}
	all.Wait()
	return nil
}
