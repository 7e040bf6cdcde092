package chrome

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"chorale/internal/sandbox/confine"
)

// CanJail says why Chromium would not be jailed here; nil: it would. A jailed
// browser lives in namespaces of its own: it sees no files of the host but
// programs, libraries, fonts and its own folder, no process but its own, and no
// network but our proxy.
func CanJail(binary string) error {
	if err := confine.CanJail(); err != nil {
		return err
	}
	if isSnap(binary) {
		return fmt.Errorf("%s is a snap, which can not be started in a jail", binary)
	}
	return nil
}

// isSnap reports whether a path leads to snap's starter, directly or by a script.
func isSnap(binary string) bool {
	at, err := filepath.EvalSymlinks(binary)
	if err != nil {
		return false
	}
	if filepath.Base(at) == "snap" {
		return true
	}
	f, err := os.Open(at)
	if err != nil {
		return false
	}
	defer f.Close()
	head, _ := io.ReadAll(io.LimitReader(f, 4<<10))
	return bytes.HasPrefix(head, []byte("#!")) && bytes.Contains(head, []byte("/snap/"))
}

// seen are the host's files that Chromium needs. No user's files lie there.
var seen = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store",
	"/etc/alternatives", "/etc/ca-certificates", "/etc/fonts", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
	"/etc/localtime", "/etc/mime.types", "/etc/nsswitch.conf", "/etc/pki", "/etc/ssl", "/var/cache/fontconfig",
}

// policy is what an administrator would set: it holds whatever a page or the
// command line say.
const policy = `{
  "URLBlocklist": ["file:*", "chrome:*", "view-source:*", "devtools:*", "chrome-extension:*", "filesystem:*"],
  "AudioCaptureAllowed": false,
  "DefaultNotificationsSetting": 2,
  "DnsOverHttpsMode": "off",
  "ExtensionInstallBlocklist": ["*"],
  "MetricsReportingEnabled": false,
  "NetworkPredictionOptions": 2,
  "QuicAllowed": false,
  "SafeBrowsingProtectionLevel": 0,
  "VideoCaptureAllowed": false,
  "WebRtcIPHandling": "disable_non_proxied_udp"
}
`

// policyFiles are where the builds of Chromium look for it.
func policyFiles() map[string]string {
	out := map[string]string{}
	for _, dir := range []string{"/etc/chromium", "/etc/chromium-browser", "/etc/opt/chrome"} {
		out[dir+"/policies/managed/chorale.json"] = policy
	}
	return out
}

// jail makes cmd start in a jail in which its folder can be written.
func jail(cmd *exec.Cmd, dir string) (*confine.Portal, error) {
	binary, err := filepath.EvalSymlinks(cmd.Path)
	if err != nil {
		return nil, err
	}
	stage := filepath.Join(dir, "root")
	if err := os.Mkdir(stage, 0o755); err != nil {
		return nil, err
	}
	if err := os.Chown(stage, confine.JailUser(), -1); err != nil {
		return nil, err
	}
	return confine.OpenJail(cmd, confine.Jail{
		Stage: stage,
		User:  confine.JailUser(),
		Read:  append(seen, filepath.Dir(cmd.Path), filepath.Dir(binary)),
		Write: []string{dir},
		Files: policyFiles(),
	})
}

// admit waits until the jail is built, starts the proxy on the port in it, and
// lets the browser begin.
func admit(portal *confine.Portal, serve func(net.Listener) io.Closer) (io.Closer, error) {
	l, err := portal.Listener()
	if err != nil {
		return nil, err
	}
	proxy := serve(l)
	if err := portal.Release(); err != nil {
		return nil, errors.Join(err, proxy.Close())
	}
	return proxy, nil
}
