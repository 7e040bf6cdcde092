package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestHarmonyScripts runs agent harmony in pipes, as testdata/harmony has it. It
// needs no model and no Python.
func TestHarmonyScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/harmony",
		Setup: func(env *testscript.Env) error {
			// A vocabulary with other ids than the built-in one.
			data, err := os.ReadFile("../../inference/pocket/tokenizer.json")
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "tokenizer.json"), data, 0o644)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code},
	})
}
