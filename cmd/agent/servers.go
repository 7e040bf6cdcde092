package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"chorale/agent"
	"chorale/internal/fence"
	"chorale/internal/sandbox/confine"
	"chorale/policies"
	"chorale/runtime"
	"chorale/tools/browser"
	"chorale/tools/functions"
	"chorale/tools/mcp"
)

// mcpServers are the MCP servers that a task names, checked and not started.
func mcpServers(job *runtime.Job, within *fence.Fence) ([]mcp.Server, error) {
	var out []mcp.Server
	seen := map[string]bool{}
	for i, m := range job.Task.Tools.MCP {
		s := mcp.Server{
			Name: m.Name, Command: m.Command, URL: m.URL, Only: m.Only, ReadOnly: m.ReadOnly, Env: m.Env, Headers: m.Headers,
			Secrets: m.Secrets, Timeout: m.Timeout.Std(), Output: int(m.Output), Memory: int64(m.Memory), Dir: job.Path("."),
			Read: m.Read, Write: m.Write, Network: m.Network, Fence: within,
		}
		err := s.Check()
		if err == nil && seen[s.Name] {
			err = fmt.Errorf("name: there are two servers %s", s.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: tools.mcp[%d]: %w", job.Path(job.Files[0].Path), i, err)
		}
		seen[s.Name] = true
		out = append(out, s)
	}
	return out, nil
}

// servers are a task's MCP servers while they run, and their tools as functions.
type servers struct {
	*mcp.Servers
	set *functions.Set // nil where there are no servers
}

// unacceptedError says that a person has to look at what servers declare.
type unacceptedError struct {
	task string
	open []mcp.Declaration
	pins mcp.Pins
}

func (e *unacceptedError) Error() string {
	var all []string
	for _, d := range e.open {
		all = append(all, fmt.Sprintf("%s.%s (%s)", d.Server, d.Tool, e.pins.State(d)))
	}
	return fmt.Sprintf("nobody has accepted what MCP servers declare of %s; look at it with: agent mcp pin %s", strings.Join(all, ", "), e.task)
}

// statusOf is how a run ends that could not connect to its servers.
func statusOf(err error) agent.Status {
	var open *unacceptedError
	if errors.As(err, &open) {
		return agent.ApprovalNeeded
	}
	return agent.ToolBroke
}

// connectServers starts the servers that a task names. What they declare must
// be accepted in the file of pins beside the task; with ask, the person at the
// terminal may accept it now.
func connectServers(ctx context.Context, std streams, job *runtime.Job, gate *policies.Policy, ask bool) (servers, error) {
	within, err := fenceOf(job, gate)
	if err != nil {
		return servers{}, err
	}
	list, err := mcpServers(job, within)
	if err != nil || len(list) == 0 {
		return servers{Servers: &mcp.Servers{}}, err
	}
	pins, err := readPins(job)
	if err != nil {
		return servers{}, err
	}
	running, err := mcp.Connect(ctx, list, version)
	if err != nil {
		return servers{}, err
	}
	if open := running.Unaccepted(pins); ask && len(open) > 0 {
		if _, err := accept(ctx, std, job, pins, open, false); err != nil {
			return servers{}, errors.Join(err, running.Close())
		}
	}
	if open := running.Unaccepted(pins); len(open) > 0 {
		return servers{}, errors.Join(&unacceptedError{job.Path(job.Files[0].Path), open, pins}, running.Close())
	}
	set, err := running.Set(pins)
	if err != nil {
		return servers{}, errors.Join(err, running.Close())
	}
	return servers{running, set}, nil
}

// readPins reads what was accepted beside the task; nothing, if there is no file.
func readPins(job *runtime.Job) (mcp.Pins, error) {
	src, err := job.ReadFile(mcp.PinsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return mcp.Pins{}, nil
	}
	if err != nil {
		return nil, err
	}
	return mcp.ParsePins(job.Path(mcp.PinsFile), src)
}

// unconfined says what this system cannot keep a task's programs from.
func unconfined(job *runtime.Job) (out []string) {
	t := job.Task.Tools
	if len(t.Functions) > 0 || len(t.MCP) > 0 {
		out = confine.Missing()
	}
	if t.Browser != nil && t.Browser.JavaScript {
		out = append(out, browser.Missing()...)
	}
	return out
}
