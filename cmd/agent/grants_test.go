package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chorale/internal/fence"
	"chorale/internal/mount"
	"chorale/policies"
	"chorale/policies/provenance"
	"chorale/runtime"
)

// TestFoldersForPython: they are what the task names and policies permit, and
// change what a call of Python is.
func TestFoldersForPython(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"in", "out"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	permit := func(entries ...mount.Entry) *fence.Fence {
		f, err := fence.New(nil, []mount.List{{From: "p.yaml", Entries: entries}}, dir)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, tt := range []struct {
		python string
		within *fence.Fence
		effect policies.Effect
		output provenance.Output
		want   string // at the end of what the model is told, or in the error
	}{
		{"{}", nil, policies.Read, provenance.Derived, ""},
		{"{read: [in]}", nil, policies.Read, provenance.Untrusted, "\n- /mnt/in (read-only)"},
		{"{read: [in], write: [out]}", nil, policies.SideEffect, provenance.Untrusted, "\n- /mnt/in (read-only)\n- /mnt/out"},
		{"{read: [in]}", permit(mount.Entry{Path: "in"}), policies.Read, provenance.Untrusted, "/mnt/in (read-only)"},
		{"{write: [in]}", permit(mount.Entry{Path: "in"}), 0, 0, "not permitted by the mounts of the policy p.yaml"},
		{"{read: [nowhere]}", nil, 0, 0, "not a folder"},
		{"{read: [in], write: [in]}", nil, 0, 0, "there is another /mnt/in"},
	} {
		job, err := runtime.Parse(filepath.Join(dir, "task.yaml"), []byte("apiVersion: agent/v1\nkind: Task\nname: t\nprompt: hi\ntools: {python: "+tt.python+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		g, err := pythonGrant(job, tt.within, job.Task.Tools.Python, nil)
		if err != nil {
			if !strings.Contains(err.Error(), tt.want) || tt.want == "" {
				t.Errorf("%s: %v, want %q", tt.python, err, tt.want)
			}
			continue
		}
		if !strings.HasSuffix(g.Namespace.Description, tt.want) || g.Effect("") != tt.effect || g.Manifest.Tools["python"].Output != tt.output {
			t.Errorf("%s: effect %v, output %v, %q", tt.python, g.Effect(""), g.Manifest.Tools["python"].Output, g.Namespace.Description)
		}
	}
}
