// Package apt installs packages of Debian, Ubuntu and their kin with their own
// apt-get, as root or by sudo: what it takes is said beforehand, how far it is
// meanwhile. apt-get checks signatures, keeps what it has fetched of an
// interrupted run, and waits for another that is under way.
//
// It refuses to install anywhere else, and never asks anybody but sudo does.
package apt

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// ErrAbsent means that the system has no apt-get.
var ErrAbsent = errors.New("this system has no apt-get")

// Cost is what an installation takes, with all that the packages depend on.
type Cost struct {
	Packages       []string // that will be installed
	Download, Disk int64    // bytes
}

// Plan asks apt-get what installing the packages takes. Where its lists do not
// know them, it fetches new lists first.
func Plan(ctx context.Context, packages ...string) (Cost, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return Cost{}, ErrAbsent
	}
	c, err := plan(ctx, packages)
	if err == nil || ctx.Err() != nil {
		return c, err
	}
	if err := privileged(ctx, nil, "apt-get", lockWait, "update"); err != nil {
		return Cost{}, err
	}
	return plan(ctx, packages)
}

const lockWait = "-oDPkg::Lock::Timeout=600"

// plan reads the files that would be fetched: 'ADDRESS' NAME_VERSION.deb SIZE HASH.
func plan(ctx context.Context, packages []string) (Cost, error) {
	out, err := output(ctx, "apt-get", append([]string{"--yes", "--no-install-recommends", "--print-uris", "install"}, packages...)...)
	if err != nil {
		return Cost{}, err
	}
	var c Cost
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.HasPrefix(fields[0], "'") {
			continue
		}
		size, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			continue
		}
		name, _, _ := strings.Cut(fields[1], "_")
		c.Packages, c.Download = append(c.Packages, name), c.Download+size
	}
	if len(c.Packages) == 0 {
		return c, nil
	}
	out, err = output(ctx, "apt-cache", append([]string{"show", "--no-all-versions"}, c.Packages...)...)
	for line := range strings.Lines(out) {
		if kib, ok := strings.CutPrefix(line, "Installed-Size: "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(kib), 10, 64) // what is no number counts nothing
			c.Disk += n << 10
		}
	}
	return c, err
}

// Install installs the packages. Progress, which may be nil, is told what
// apt-get is doing and how much of that is done, in percent.
func Install(ctx context.Context, progress func(text string, percent float64), packages ...string) error {
	if audit, err := output(ctx, "dpkg", "--audit"); err == nil && audit != "" { // an installation was cut off
		if err := privileged(ctx, nil, "dpkg", "--configure", "-a"); err != nil {
			return err
		}
	}
	args := []string{"--yes", "--no-install-recommends", lockWait, "-oAPT::Status-Fd=1", "install"}
	return privileged(ctx, progress, "apt-get", append(args, packages...)...)
}

// status reads a line of apt-get's status: KIND:NAME:PERCENT:TEXT.
func status(line string) (text string, percent float64, ok bool) {
	parts := strings.SplitN(line, ":", 4)
	if len(parts) != 4 || parts[0] != "dlstatus" && parts[0] != "pmstatus" {
		return "", 0, false
	}
	percent, err := strconv.ParseFloat(parts[2], 64)
	return strings.TrimSpace(parts[3]), percent, err == nil
}

// privileged runs a program as root. A cancelled one is asked to end, so that
// it leaves nothing half done that it could finish.
func privileged(ctx context.Context, progress func(string, float64), program string, args ...string) error {
	command := append([]string{program}, args...)
	if os.Geteuid() != 0 {
		sudo, err := exec.LookPath("sudo")
		if err != nil {
			return fmt.Errorf("this needs root and there is no sudo; as root, run: %s", strings.Join(command, " "))
		}
		command = append([]string{sudo}, command...)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	if os.Geteuid() != 0 { // sudo passes no environment on
		cmd.Args = append([]string{command[0], "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"}, command[1:]...)
		cmd.Stdin = os.Stdin // for a password
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if text, percent, ok := status(lines.Text()); ok && progress != nil {
			progress(text, percent)
		}
	}
	return explain(ctx, cmd.Wait(), command, said.String())
}

// output runs a program that changes nothing and returns what it prints.
func output(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	return string(out), explain(ctx, err, append([]string{program}, args...), said.String())
}

// explain puts what a program complained of into its error.
func explain(ctx context.Context, err error, command []string, said string) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, strings.TrimSpace(said))
}
