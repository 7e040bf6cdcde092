package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"chorale/configs"
	"chorale/harmony"
	"chorale/policies"
	"chorale/policies/provenance"
	"chorale/runtime"
)

// loadPolicies stacks the system layer, the task's policies, and those of the
// configuration. Each can only narrow.
func loadPolicies(job *runtime.Job, configured []configs.Policy) (*policies.Policy, error) {
	var stack []*policies.Policy
	for _, name := range job.Task.Policies {
		src, err := job.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("policy: %w", err)
		}
		p, err := policies.Parse(job.Path(name), src, harmony.Developer)
		if err != nil {
			return nil, err
		}
		stack = append(stack, p)
	}
	for _, c := range configured {
		layer := harmony.User
		if c.Project {
			layer = harmony.Developer
		}
		p, err := policies.Load(c.Path, layer)
		if err != nil {
			return nil, err
		}
		stack = append(stack, p)
	}
	system, err := systemLayer()
	if err != nil {
		return nil, err
	}
	return system.Narrow(stack...), nil
}

// loadManifests joins the manifests that the task names.
func loadManifests(job *runtime.Job) (*provenance.Manifest, error) {
	var m *provenance.Manifest
	for _, name := range job.Task.Manifests {
		src, err := job.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
		next, err := provenance.Parse(job.Path(name), src)
		if err != nil {
			return nil, err
		}
		m = m.Join(next)
	}
	return m, nil
}

// systemLayer is the machine owner's own policy, the only one that can grant
// more than the built-in, or the built-in where there is none.
func systemLayer() (*policies.Policy, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return policies.Default(), nil // no home, so no file in it
	}
	p, err := policies.Load(filepath.Join(dir, "agent", "policy.yaml"), harmony.System)
	if errors.Is(err, fs.ErrNotExist) {
		return policies.Default(), nil
	}
	return p, err
}
