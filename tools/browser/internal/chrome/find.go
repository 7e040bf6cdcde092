package chrome

import (
	"errors"
	"os"
	"os/exec"
)

// ErrNotFound says that no Chromium is installed, and how to change that.
var ErrNotFound = errors.New("no Chromium was found; install it (Debian, Ubuntu: sudo apt-get install chromium; " +
	"Fedora: sudo dnf install chromium; Arch: sudo pacman -S chromium)")

// places are where distributions put the program itself. Their wrapper scripts
// in the PATH add flags of their own, so they come last.
var places = []string{
	"/usr/lib/chromium/chromium",
	"/usr/lib64/chromium-browser/chromium-browser",
	"/usr/lib/chromium-browser/chromium-browser",
	"/opt/google/chrome/chrome",
}

// Find returns the path of the installed Chromium.
func Find() (string, error) {
	for _, p := range places {
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", ErrNotFound
}
