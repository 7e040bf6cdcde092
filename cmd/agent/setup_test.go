package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestSetupOfASystemPart installs a made-up package by a made-up apt-get, which
// leaves a file; without apt-get, and where the package brings nothing, it says
// what to do.
func TestSetupOfASystemPart(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() != 0 {
		t.Skip("needs a shell, and root, for whom no sudo is called")
	}
	bin, mark := t.TempDir(), filepath.Join(t.TempDir(), "installed")
	t.Setenv("PATH", bin)
	part := systemPart{name: "Thing", packages: []string{"thing"}, hint: "Install a thing by hand.",
		find: func(*cobra.Command) (string, error) {
			_, err := os.Stat(mark)
			if err != nil {
				err = errors.New("there is no thing")
			}
			return "a thing", err
		}}
	script := func(name, body string) {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	setup := func() (string, error) {
		var said bytes.Buffer
		cmd := &cobra.Command{}
		cmd.SetContext(t.Context())
		err := setupSystem(cmd, streams{err: &said}, part)
		return said.String(), err
	}
	if _, err := setup(); err == nil || !strings.Contains(err.Error(), "no thing") || !strings.Contains(err.Error(), part.hint) {
		t.Errorf("without apt-get: %v", err)
	}
	const uris = `case "$*" in *print-uris*) echo "'http://deb.example/thing_1_all.deb' thing_1_all.deb 4000000 SHA256:aa";; `
	script("apt-cache", "echo 'Installed-Size: 20000'")
	script("dpkg", "")
	script("apt-get", uris+"esac")
	if _, err := setup(); err == nil || !strings.Contains(err.Error(), "it was installed, and yet: there is no thing") {
		t.Errorf("a package that brings nothing: %v", err)
	}
	script("apt-get", uris+"*install*) echo pmstatus:thing:50:Unpacking; : >"+mark+";; esac")
	said, err := setup()
	if err != nil || !strings.Contains(said, "Setting up Thing: thing (packages: 1), 4.0 MB to download, 20.5 MB on disk, about 2.0 s.\n") || !strings.HasSuffix(said, "Thing is ready: a thing\n") {
		t.Errorf("%v\n%s", err, said)
	}
	if said, err := setup(); err != nil || said != "Thing is there: a thing\n" {
		t.Errorf("a second time: %v\n%s", err, said)
	}
}
