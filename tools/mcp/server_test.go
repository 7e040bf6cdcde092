package mcp

import (
	"strings"
	"testing"

	"chorale/internal/secret"
)

func TestServerCheck(t *testing.T) {
	good := []Server{
		{Name: "files", Command: []string{"npx", "server"}, Only: []string{"read", "write"}, ReadOnly: []string{"read"}, Env: []string{"HOME"}},
		{Name: "erp-2", URL: "https://erp.example/mcp", Only: []string{"a"}, Headers: map[string]string{"Authorization": "Bearer {{secret.k}}"}, Secrets: map[string]secret.Source{"k": {Env: "K"}}},
	}
	for _, s := range good {
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	for want, change := range map[string]func(local, remote *Server) *Server{
		"begin with a letter":           func(s, _ *Server) *Server { s.Name = "my_files"; return s },
		"exactly one of command and":    func(s, r *Server) *Server { s.URL = r.URL; return s },
		"names no program":              func(s, _ *Server) *Server { s.Command = []string{""}; return s },
		"names no tool":                 func(s, _ *Server) *Server { s.Only = nil; return s },
		`"raed" is not among only`:      func(s, _ *Server) *Server { s.ReadOnly = []string{"raed"}; return s },
		"values are not written here":   func(s, _ *Server) *Server { s.Env = []string{"A=b"}; return s },
		"use env":                       func(s, r *Server) *Server { s.Headers = r.Headers; return s },
		"no name of a variable":         func(s, _ *Server) *Server { s.Secrets = map[string]secret.Source{"a-b": {Env: "K"}}; return s },
		"no address of the form":        func(_, s *Server) *Server { s.URL = "ftp://erp.example/mcp"; return s },
		"is no address":                 func(_, s *Server) *Server { s.URL = "https://me:pw@erp.example/mcp"; return s },
		"are for programs":              func(_, s *Server) *Server { s.Env = []string{"A"}; return s },
		`"Host" cannot be set`:          func(_, s *Server) *Server { s.Headers = map[string]string{"Host": "x"}; return s },
		"must be one line":              func(_, s *Server) *Server { s.Headers = map[string]string{"X": "a\r\nHost: b"}; return s },
		"{{secret.z}} is not among the": func(_, s *Server) *Server { s.Headers = map[string]string{"X": "{{secret.z}}"}; return s },
		"must be positive":              func(_, s *Server) *Server { s.Timeout = -1; return s },
	} {
		local, remote := good[0], good[1]
		if err := change(&local, &remote).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
