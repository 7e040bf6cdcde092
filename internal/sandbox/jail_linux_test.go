package sandbox

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"chorale/internal/sandbox/confine"
)

// TestJail lets a program look around in its jail: it finds what it was given
// and nothing else, is process 1, has no rights left, and reaches the portal's
// port only.
func TestJail(t *testing.T) {
	if err := confine.CanJail(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v; allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)", err)
		}
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "jail-*") // others must be able to reach it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	stage, given, kept := filepath.Join(dir, "stage"), filepath.Join(dir, "given"), filepath.Join(dir, "kept")
	for _, d := range []string{dir, stage, given} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(d, confine.JailUser(), -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(kept, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	shell := `id -u; echo $$; cat /etc/note; echo x > ` + given + `/new && echo wrote; (echo x > /etc/note) 2>&- || echo sealed
		(echo x > /usr/note) 2>&- || echo sealed; ls ` + kept + ` /root /home /tmp/nothing 2>/dev/null | wc -l
		grep -h -e ^CapEff -e ^NoNewPrivs -e ^Seccomp: /proc/self/status; ls -d /proc/[0-9]* | head -1; ls -d /sys /var 2>&- | wc -l
		for port in ` + strings.TrimPrefix(tcp.Addr().String(), "127.0.0.1:") + ` ` + strings.TrimPrefix(confine.ProxyAddr, "127.0.0.1:") + `; do
			(exec 3<>/dev/tcp/127.0.0.1/$port) 2>&- && echo reached || echo refused
		done; sleep 1000 & sleep 1000 &`
	cmd := exec.Command("/bin/bash", "-c", shell)
	var out bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = given, []string{"PATH=/usr/bin:/bin"}, &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	portal, err := confine.OpenJail(cmd, confine.Jail{
		Stage: stage, User: confine.JailUser(), Read: []string{"/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"},
		Write: []string{given}, Files: map[string]string{"/etc/note": "a note\n"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer portal.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l, err := portal.Listener()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := portal.Release(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil { // also waits for all who hold the output
		t.Errorf("%v: %s", err, &out)
	}
	user := os.Geteuid()
	if user == 0 {
		user = confine.JailUser()
	}
	want := strings.Join([]string{strconv.Itoa(user), "1", "a note", "wrote", "sealed", "sealed", "0",
		"CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "/proc/1", "0", "refused", "reached", ""}, "\n")
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := os.Stat(filepath.Join(given, "new")); err != nil {
		t.Error(err)
	}
}
