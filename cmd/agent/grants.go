package main

import (
	"context"
	"fmt"
	"path/filepath"

	"chorale/harmony"
	"chorale/policies"
	"chorale/runtime"
	"chorale/tools"
	"chorale/tools/functions"
	"chorale/tools/python"
)

// grants turns the tools that a task names into what the run may open.
func grants(job *runtime.Job) ([]runtime.Grant, error) {
	var out []runtime.Grant
	if p := job.Task.Tools.Python; p != nil {
		out = append(out, pythonGrant(p, nil))
	}
	if len(job.Task.Tools.Functions) > 0 {
		g, err := readFunctions(job)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

// pythonGrant grants the sandboxed Python. The engine, if given, is shared by
// many runs; else each run loads its own at the first call.
func pythonGrant(p *runtime.PythonSpec, shared *python.Engine) runtime.Grant {
	return runtime.Grant{
		Namespace: harmony.Python(),
		BuiltIn:   true,
		Limits:    tools.Limits{Time: p.Timeout.Std(), Memory: int64(p.Memory)},
		Effect:    func(string) policies.Effect { return policies.Read }, // it reaches nothing but its own folder
		Open: func(ctx context.Context, scratch string) (tools.Tool, error) {
			return python.Open(ctx, python.Options{Engine: shared, Dir: scratch, Memory: int64(p.Memory)})
		},
	}
}

// readFunctions grants the functions that the task names. That their programs
// are there is found out now and not in the middle of a run.
func readFunctions(job *runtime.Job) (runtime.Grant, error) {
	var sets []*functions.Set
	for _, f := range job.Task.Tools.Functions {
		src, err := job.ReadFile(f.Ref)
		if err != nil {
			return runtime.Grant{}, fmt.Errorf("functions: %w", err)
		}
		path := job.Path(f.Ref)
		set, err := functions.Parse(path, src, filepath.Dir(path))
		if err != nil {
			return runtime.Grant{}, err
		}
		if set, err = set.Only(f.Only...); err != nil {
			return runtime.Grant{}, fmt.Errorf("%s: only: %w", path, err)
		}
		sets = append(sets, set)
	}
	set, err := functions.Join(sets...)
	if err != nil {
		return runtime.Grant{}, fmt.Errorf("functions: %w", err)
	}
	tool, err := set.Open()
	if err != nil {
		return runtime.Grant{}, err
	}
	return functionsGrant(set), tool.Close()
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
		Open: func(context.Context, string) (tools.Tool, error) { return set.Open() },
	}
}
