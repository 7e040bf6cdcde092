package main

import (
	"context"
	"fmt"
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
		out = append(out, pythonGrant(p, nil))
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
func pythonGrant(p *runtime.PythonSpec, shared *python.Engine) runtime.Grant {
	which := python.Choose("", python.Runtime(p.Runtime))
	if shared != nil {
		which = shared.Runtime()
	}
	return runtime.Grant{
		Namespace: python.Namespace(which),
		BuiltIn:   true,
		Limits:    tools.Limits{Time: p.Timeout.Std(), Memory: int64(p.Memory)},
		Effect:    func(string) policies.Effect { return policies.Read }, // it reaches nothing but its own folder
		Manifest:  &provenance.Manifest{Tools: map[string]provenance.Tool{"python": {Output: provenance.Derived}}},
		Open: func(ctx context.Context, at runtime.Place) (tools.Tool, error) {
			return python.Open(ctx, python.Options{Runtime: which, Engine: shared, Dir: at.Scratch, Memory: int64(p.Memory)})
		},
	}
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
