package main

import (
	"fmt"

	"chorale/configs"
	"chorale/harmony"
	"chorale/policies"
	"chorale/runtime"
)

// loadPolicies stacks the built-in system layer, the task's policies, and those
// of the configuration. Each can only narrow.
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
	return policies.Default().Narrow(stack...), nil
}
