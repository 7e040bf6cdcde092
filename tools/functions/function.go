// Package functions is the tool of the developer's own functions: commands
// declared in a YAML file, and Go functions. Arguments are checked against the
// function's JSON Schema before anything runs, and what does not fit goes back
// to the model in words that let it mend the call.
//
// It refuses shells: a command is an argument vector, and a value that the
// model chose fills one place of it, never splits, and never becomes an option.
package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"chorale/harmony"
	"chorale/internal/fence"
	"chorale/internal/mount"
	"chorale/internal/strictyaml"
	"chorale/tools"
)

// Namespace is the name under which the model finds the functions.
const Namespace = "functions"

// Function is one function, declared and ready to be called. It is made by
// Func or read from a file.
type Function struct {
	name        string
	description string
	parameters  json.RawMessage
	readOnly    bool          // a function changes something unless declared otherwise
	timeout     time.Duration // 0: the call's limit alone
	output      int           // likewise
	schema      *schema
	ready       func() error // reports early what would make every call fail
	run         func(ctx context.Context, args arguments, l tools.Limits) (tools.Result, error)
	reach       []string // origins, as lists of hosts have them; fence.Any is any
	folders     []Folder // that a command is given
	err         error    // why it cannot be used
}

// Name is the function's name without the namespace.
func (f Function) Name() string { return f.name }

// ReadOnly returns f declared as free of side effects outside its own process.
// Policies treat such functions more freely.
func (f Function) ReadOnly() Function {
	f.readOnly = true
	return f
}

// Set is an immutable list of functions with different names.
type Set struct {
	functions []Function
	fence     *fence.Fence
}

// Folder is a file or folder that the declaration of a function grants to it.
type Folder struct {
	Path string
	Mode mount.Mode
}

var namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

var errName = errors.New("must be 1 to 64 letters, digits or _ - and begin with a letter or _")

// New makes a set of functions in the given order.
func New(fs ...Function) (*Set, error) {
	seen := map[string]bool{}
	for _, f := range fs {
		switch {
		case f.err != nil:
			return nil, fmt.Errorf("function %s: %w", f.name, f.err)
		case !namePattern.MatchString(f.name):
			return nil, fmt.Errorf("function %q: the name %w", f.name, errName)
		case seen[f.name]:
			return nil, fmt.Errorf("function %s is declared twice", f.name)
		}
		seen[f.name] = true
	}
	return &Set{functions: slices.Clone(fs)}, nil
}

// Join makes one set of several. A name that two of them declare is an error.
func Join(sets ...*Set) (*Set, error) {
	var all []Function
	for _, s := range sets {
		all = append(all, s.functions...)
	}
	return New(all...)
}

// Only is the functions of s with the given names, in s's order; all of them if
// no name is given.
func (s *Set) Only(names ...string) (*Set, error) {
	if len(names) == 0 {
		return s, nil
	}
	for _, name := range names {
		if _, ok := s.find(name); !ok {
			return nil, s.unknown(name)
		}
	}
	out := &Set{fence: s.fence}
	for _, f := range s.functions {
		if slices.Contains(names, f.name) {
			out.functions = append(out.functions, f)
		}
	}
	return out, nil
}

// Within is the set with its commands held to what policies leave of their
// hosts and folders. A function that asks for what is not left is of no use, so
// it is an error at once.
func (s *Set) Within(by *fence.Fence) (*Set, error) {
	for _, f := range s.functions {
		for _, origin := range f.reach {
			if err := by.Reach(origin); err != nil {
				return nil, fmt.Errorf("%s.%s: %w; leave the function out of the task", Namespace, f.name, err)
			}
		}
		for _, at := range f.folders {
			if _, err := by.Folder(at.Path, at.Mode); err != nil {
				return nil, fmt.Errorf("%s.%s: %w; leave the function out of the task", Namespace, f.name, err)
			}
		}
	}
	return &Set{functions: s.functions, fence: by}, nil
}

// Grants are the origins and folders that the declaration of a function grants.
func (s *Set) Grants(name string) (origins []string, folders []Folder) {
	f, _ := s.find(name)
	return f.reach, f.folders
}

// Len is the number of functions.
func (s *Set) Len() int { return len(s.functions) }

// SideEffect reports whether a function may change something outside its own
// process, and whether there is such a function. What is not known is said to
// have side effects.
func (s *Set) SideEffect(name string) (sideEffect, known bool) {
	f, ok := s.find(name)
	return !ok || !f.readOnly, ok
}

// Namespace is what the prompt declares to the model, in the declared order.
func (s *Set) Namespace() harmony.Namespace {
	ns := harmony.Namespace{Name: Namespace}
	for _, f := range s.functions {
		ns.Functions = append(ns.Functions, harmony.Function{Name: f.name, Description: f.description, Parameters: f.parameters})
	}
	return ns
}

func (s *Set) find(name string) (Function, bool) {
	for _, f := range s.functions {
		if f.name == name {
			return f, true
		}
	}
	return Function{}, false
}

// unknown says that there is no such function, and what there is.
func (s *Set) unknown(name string) error {
	var names []string
	for _, f := range s.functions {
		names = append(names, f.name)
	}
	if near := strictyaml.Nearest(name, names); near != "" {
		return fmt.Errorf("there is no function %q; did you mean %q?", clip(name), near)
	}
	return fmt.Errorf("there is no function %q; there are %q", clip(name), names)
}
