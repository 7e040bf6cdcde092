package mcp

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"chorale/internal/fence"
	"chorale/internal/mount"
	"chorale/internal/secret"
	"chorale/internal/strictyaml"
)

// Server says how a server is reached, and what of it the model may use. It is
// a program or an address.
type Server struct {
	Name     string                   // the first part of its functions' names
	Command  []string                 // argument vector; a program with a slash starts from Dir
	URL      string                   // or the address of a streamable HTTP endpoint
	Only     []string                 // the tools that exist, as the server calls them; at least one
	ReadOnly []string                 // those of them that change nothing, which only the task's author can know
	Env      []string                 // variables of our environment that the program gets
	Headers  map[string]string        // of each request; {{secret.name}} stands for a secret
	Secrets  map[string]secret.Source // for headers, or a program's variables; taken out of what comes back
	Timeout  time.Duration            // of a call; 0: the call's limit alone
	Output   int                      // bytes of text of a call; likewise
	Memory   int64                    // bytes that the program may hold; 0: 2 GiB
	Dir      string                   // where the program runs, and what it may read; relative paths start there
	Read     []string                 // files and folders that the program reads besides Dir
	Write    []string                 // and those that it changes
	Network  bool                     // whether the program has the network
	Fence    *fence.Fence             // what policies leave of these; nil: everything
}

// A name has no underscore, so that server_tool has one reading.
var (
	serverName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,19}$`)
	variable   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	headerName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
)

// reserved are headers that the protocol or the connection sets.
var reserved = []string{"accept", "connection", "content-length", "content-type", "host", "mcp-session-id", "mcp-protocol-version", "transfer-encoding"}

// Check finds what cannot be meant. The error is placed at a key of the task.
func (s *Server) Check() error {
	switch {
	case !serverName.MatchString(s.Name):
		return strictyaml.At("name", fmt.Errorf("%q must be 1 to 20 of a-z, 0-9 and -, and begin with a letter", s.Name))
	case (len(s.Command) == 0) == (s.URL == ""):
		return errors.New("give exactly one of command and url")
	case len(s.Command) > 0 && s.Command[0] == "":
		return strictyaml.At("command", errors.New("names no program"))
	case len(s.Only) == 0:
		return strictyaml.At("only", errors.New("names no tool; a tool that is not named does not exist for the model"))
	case s.Timeout < 0 || s.Output < 0 || s.Memory < 0:
		return errors.New("timeout, output and memory must be positive")
	}
	for i, name := range s.ReadOnly {
		if !slices.Contains(s.Only, name) {
			return strictyaml.At("readOnly", strictyaml.At(strconv.Itoa(i), fmt.Errorf("%q is not among only", name)))
		}
	}
	if err := s.inside(); err != nil {
		return fmt.Errorf("server %s: %w; leave it out of the task", s.Name, err)
	}
	if s.URL != "" {
		return s.checkRemote()
	}
	if len(s.Headers) > 0 {
		return strictyaml.At("headers", errors.New("a program has no headers; use env"))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		if !variable.MatchString(name) {
			return strictyaml.At("secrets", fmt.Errorf("%q is no name of a variable, which a program gets it as", name))
		}
	}
	for i, name := range s.Env {
		if !variable.MatchString(name) {
			return strictyaml.At("env", strictyaml.At(strconv.Itoa(i), fmt.Errorf("%q is no name of a variable; values are not written here", name)))
		}
	}
	return nil
}

// inside refuses what policies do not leave of the declared hosts and folders.
func (s *Server) inside() error {
	origin := s.URL
	if s.Network {
		origin = fence.Any
	}
	if origin != "" {
		if err := s.Fence.Reach(origin); err != nil {
			return err
		}
	}
	for mode, paths := range [][]string{mount.ReadOnly: s.Read, mount.ReadWrite: s.Write} {
		for _, path := range s.from(paths) {
			if _, err := s.Fence.Folder(path, mount.Mode(mode)); err != nil {
				return err
			}
		}
	}
	return nil
}

// from are the paths, those that are relative starting from the server's folder.
func (s *Server) from(paths []string) []string {
	var out []string
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			p = filepath.Join(cmp.Or(s.Dir, "."), p)
		}
		out = append(out, p)
	}
	return out
}

func (s *Server) checkRemote() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return strictyaml.At("url", fmt.Errorf("%q is no address of the form https://host/path", s.URL))
	}
	if len(s.Env) > 0 || s.Memory > 0 || s.Network || len(s.Read) > 0 || len(s.Write) > 0 {
		return errors.New("env, memory, read, write and network are for programs, not for an url")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		if !headerName.MatchString(name) || slices.Contains(reserved, strings.ToLower(name)) {
			return strictyaml.At("headers", fmt.Errorf("%q cannot be set", name))
		}
		if strings.ContainsAny(s.Headers[name], "\r\n\x00") {
			return strictyaml.At("headers", strictyaml.At(name, errors.New("must be one line")))
		}
		if err := secret.CheckTemplate(s.Headers[name], s.Secrets); err != nil {
			return strictyaml.At("headers", strictyaml.At(name, err))
		}
	}
	return nil
}
