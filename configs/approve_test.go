package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A server that answers questions is named by whoever starts the run, and by no
// file, which could come with a project and answer itself.
func TestWebhookComesFromNoFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	t.Setenv("AGENT_APPROVE", "https://ask.example/hook")
	if c, _, err := Load(dir, nil); err != nil || c.Approve != "https://ask.example/hook" {
		t.Errorf("%q, %v", c.Approve, err)
	}
	t.Setenv("AGENT_APPROVE", "http://ask.example/hook")
	if _, _, err := Load(dir, nil); err == nil {
		t.Error("questions may go over the network in the clear")
	}
	t.Setenv("AGENT_APPROVE", "")
	for _, word := range []string{"https://ask.example/hook", "http://localhost:1/"} {
		if err := os.WriteFile(filepath.Join(dir, ".agent.yaml"), []byte("approve: "+word+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Load(dir, nil); err == nil || !strings.Contains(err.Error(), "neither ask nor deny") {
			t.Errorf("%s in a file: %v", word, err)
		}
	}
}
