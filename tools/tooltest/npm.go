package tooltest

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Packages returns the folder of the npm packages that the lock file pins, the
// protocol's official MCP servers and inspector, which scripts/mcp-tests.sh
// installed. Without them, or node, the test fails in CI and is skipped
// elsewhere.
func Packages(t *testing.T, lock string) string {
	t.Helper()
	pinned, err := os.ReadFile(lock)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(pinned)
	dir := filepath.Join(cache, "agent", "mcp-tests-"+hex.EncodeToString(sum[:])[:12])
	if _, err = os.Stat(filepath.Join(dir, "done")); err == nil {
		_, err = exec.LookPath("node")
	}
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("the packages of %s are missing: %v; run scripts/system.sh test and scripts/mcp-tests.sh", lock, err)
	default:
		t.Skipf("the packages of %s are missing: %v; scripts/mcp-tests.sh installs them", lock, err)
	}
	return filepath.Join(dir, "node_modules")
}
