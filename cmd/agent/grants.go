package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"chorale/configs"
	"chorale/harmony"
	"chorale/internal/fence"
	"chorale/internal/mount"
	"chorale/policies"
	"chorale/policies/provenance"
	"chorale/runtime"
	"chorale/tools"
	"chorale/tools/browser"
	"chorale/tools/functions"
	"chorale/tools/python"
)

// grants turns the tools that a task names into what the run may open. More are
// functions from elsewhere; sets that are nil do not count. What the hosts of the
// gate's policies leave out, the tools cannot reach. config is nil where a task is
// only looked at.
func grants(job *runtime.Job, gate *policies.Policy, config *configs.Search, more ...*functions.Set) ([]runtime.Grant, error) {
	var out []runtime.Grant
	within, err := fenceOf(job, gate)
	if err != nil {
		return nil, err
	}
	if _, err := mcpServers(job, within); err != nil {
		return nil, err
	}
	if file := job.Task.Output.File; file != "" {
		if _, err := within.Folder(job.Path(file), mount.ReadWrite); err != nil {
			return nil, fmt.Errorf("%s: output.file: %w", job.Path(job.Files[0].Path), err)
		}
	}
	more = slices.DeleteFunc(more, func(s *functions.Set) bool { return s == nil })
	if job.Task.Tools.Browser != nil {
		b, err := newBrowse(job, gate.Hosts(), within, config)
		if err != nil {
			return nil, err
		}
		acts, err := b.actions()
		if err != nil {
			return nil, err
		}
		if acts != nil {
			more = append(more, acts)
		}
		out = append(out, b.grant())
	}
	if p := job.Task.Tools.Python; p != nil {
		g, err := pythonGrant(job, within, p, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	if len(job.Task.Tools.Functions) > 0 || len(more) > 0 {
		g, err := readFunctions(job, within, more...)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

// fenceOf is what the policies of a run leave of hosts and folders. Relative
// paths in policies start from the task's folder.
func fenceOf(job *runtime.Job, gate *policies.Policy) (*fence.Fence, error) {
	return fence.New(gate.Hosts(), gate.Mounts(), job.Path("."))
}

// pieces cuts a text into the model's tokens, each decoded by itself.
func pieces(e *harmony.Encoding) browser.Tokenizer {
	return func(text string) []string {
		var out []string
		for _, t := range e.Encode(text) {
			out = append(out, e.TokenText(t))
		}
		return out
	}
}

// pythonGrant grants the sandboxed Python. The engine, if given, is shared by
// many runs; else each run loads its own at the first call.
//
// It reaches nothing but its own folder and those that the task names. With such
// a folder, what it says may be anybody's word; if it may write, a call has
// effects outside.
func pythonGrant(job *runtime.Job, within *fence.Fence, p *runtime.PythonSpec, shared *python.Engine) (runtime.Grant, error) {
	mounts, err := pythonMounts(job, within, p)
	if err != nil {
		return runtime.Grant{}, fmt.Errorf("%s: tools.python: %w", job.Path(job.Files[0].Path), err)
	}
	effect, output := policies.Read, provenance.Derived
	if len(mounts) > 0 {
		output = provenance.Untrusted
	}
	if len(p.Write) > 0 {
		effect = policies.SideEffect
	}
	which := python.Choose("", python.Runtime(p.Runtime))
	if shared != nil {
		which = shared.Runtime()
	}
	return runtime.Grant{
		Namespace: python.Namespace(which, mounts...),
		BuiltIn:   true,
		Limits:    tools.Limits{Time: p.Timeout.Std(), Memory: int64(p.Memory)},
		Effect:    func(string) policies.Effect { return effect },
		Manifest:  &provenance.Manifest{Tools: map[string]provenance.Tool{"python": {Output: output}}},
		Open: func(ctx context.Context, at runtime.Place) (tools.Tool, error) {
			return python.Open(ctx, python.Options{Runtime: which, Engine: shared, Dir: at.Scratch, Memory: int64(p.Memory), Mounts: mounts})
		},
	}, nil
}

// pythonMounts are the folders that a task names for Python, as far as policies
// permit them.
func pythonMounts(job *runtime.Job, within *fence.Fence, p *runtime.PythonSpec) (mounts []python.Mount, err error) {
	add := func(named string, mode mount.Mode) error {
		at := named
		if !filepath.IsAbs(at) {
			at = job.Path(at)
		}
		if at, err = within.Folder(at, mode); err != nil {
			return err
		}
		if info, err := os.Stat(at); err != nil || !info.IsDir() {
			return fmt.Errorf("%s is not a folder", at)
		}
		mounts = append(mounts, python.Mount{Name: filepath.Base(named), Dir: at, Write: mode == mount.ReadWrite})
		return nil
	}
	for _, named := range p.Read {
		if err := add(named, mount.ReadOnly); err != nil {
			return nil, err
		}
	}
	for _, named := range p.Write {
		if err := add(named, mount.ReadWrite); err != nil {
			return nil, err
		}
	}
	return mounts, python.CheckMounts(mounts)
}

// readFunctions grants the functions that the task names, and more. That their
// programs are there is found out now and not in the middle of a run.
func readFunctions(job *runtime.Job, within *fence.Fence, more ...*functions.Set) (runtime.Grant, error) {
	set, err := functionSet(job, more...)
	if err != nil {
		return runtime.Grant{}, err
	}
	if set, err = set.Within(within); err != nil {
		return runtime.Grant{}, err
	}
	tool, err := set.Open()
	if err != nil {
		return runtime.Grant{}, err
	}
	return functionsGrant(set), tool.Close()
}

// functionSet is the functions that the task names, and more.
func functionSet(job *runtime.Job, more ...*functions.Set) (*functions.Set, error) {
	sets := slices.Clone(more)
	for _, f := range job.Task.Tools.Functions {
		src, err := job.ReadFile(f.Ref)
		if err != nil {
			return nil, fmt.Errorf("functions: %w", err)
		}
		path := job.Path(f.Ref)
		set, err := functions.Parse(path, src, filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		if set, err = set.Only(f.Only...); err != nil {
			return nil, fmt.Errorf("%s: only: %w", path, err)
		}
		sets = append(sets, set)
	}
	set, err := functions.Join(sets...)
	if err != nil {
		return nil, fmt.Errorf("functions: %w", err)
	}
	return set, nil
}

func functionsGrant(set *functions.Set) runtime.Grant {
	return runtime.Grant{
		Namespace: set.Namespace(),
		Effect: func(name string) policies.Effect {
			switch sideEffect, known := set.SideEffect(name); {
			case !known:
				return policies.Unknown
			case sideEffect:
				return policies.SideEffect
			}
			return policies.Read
		},
		Open: func(context.Context, runtime.Place) (tools.Tool, error) { return set.Open() },
	}
}
