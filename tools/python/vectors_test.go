package python

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// packages are what the basic interpreter lacks: tags of cases, and names that
// their code imports.
var (
	packages = []string{"numpy", "pandas", "matplotlib", "scipy", "sklearn", "scikit-learn", "sympy", "statsmodels", "lxml", "PIL"}
	imports  = regexp.MustCompile(`\b(?:import|from)\s+(?:numpy|pandas|matplotlib|scipy|sklearn|sympy|statsmodels|lxml|PIL|networkx|openpyxl|seaborn)\b`)
)

func needsPackages(tags, code []string) bool {
	if tested == Full {
		return false
	}
	return slices.ContainsFunc(tags, func(tag string) bool { return slices.Contains(packages, tag) }) ||
		slices.ContainsFunc(code, imports.MatchString)
}

// eachVector runs f on every line of the files that match the pattern, in
// testdata and in the trees of AGENT_VECTORS. f reports whether it ran the case.
func eachVector[T any](t *testing.T, pattern string, f func(t *testing.T, c T) bool) {
	t.Helper()
	trees := append([]string{"testdata"}, filepath.SplitList(os.Getenv("AGENT_VECTORS"))...)
	for _, tree := range trees {
		files, err := filepath.Glob(filepath.Join(tree, pattern))
		if err != nil {
			t.Fatal(err)
		}
		ran, skipped := 0, 0
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(bytes.NewReader(text))
			lines.Buffer(nil, 1<<24)
			for lines.Scan() {
				if len(lines.Bytes()) == 0 {
					continue
				}
				var c T
				if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				if f(t, c) {
					ran++
				} else {
					skipped++
				}
			}
			if err := lines.Err(); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%s: ran %d cases of %s, left out %d that need packages", tree, ran, pattern, skipped)
		if ran == 0 {
			t.Errorf("%s: no case of %s", tree, pattern)
		}
	}
}

type cellsVector struct {
	ID    string
	Tags  []string
	Cells []struct {
		Code       string
		Stdout     string
		Value      *string
		Error      *string
		MessageHas string `json:"message_has"`
	}
	Files map[string]struct{ Text, Magic *string }
}

func TestCellVectors(t *testing.T) {
	eachVector(t, "python_cells*.jsonl", func(t *testing.T, c cellsVector) bool {
		var code []string
		for _, cell := range c.Cells {
			code = append(code, cell.Code)
		}
		if needsPackages(c.Tags, code) {
			return false
		}
		t.Run(c.ID, func(t *testing.T) {
			s := newSession(t, Options{Dir: t.TempDir()})
			for i, cell := range c.Cells {
				out := run(t, s, cell.Code)
				if out.Lost != "" {
					t.Fatalf("cell %d lost the session: %s", i, out.Lost)
				}
				if out.Stdout != cell.Stdout {
					t.Errorf("cell %d printed %q, want %q", i, out.Stdout, cell.Stdout)
				}
				if value := orEmpty(cell.Value); out.Value != value {
					t.Errorf("cell %d has value %q, want %q", i, out.Value, value)
				}
				checkError(t, i, out, orEmpty(cell.Error), cell.MessageHas)
			}
			for name, f := range c.Files {
				checkFile(t, filepath.Join(s.dir, name), f.Text, f.Magic)
			}
		})
		return true
	})
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func checkError(t *testing.T, cell int, out Output, kind, message string) {
	t.Helper()
	got := Exception{}
	if out.Err != nil {
		got = *out.Err
	}
	if got.Type == "SystemExit" && kind == "" && !out.Failed() {
		return // a plain sys.exit() ends the cell; whether it counts as an error is a matter of taste
	}
	if got.Type != kind {
		t.Errorf("cell %d ended with %q, want %q\n%s", cell, got.Type, kind, got.Trace)
	}
	if !strings.Contains(got.Message+got.Trace, message) {
		t.Errorf("cell %d: error text %q lacks %q", cell, got.Trace, message)
	}
}

func checkFile(t *testing.T, path string, text, magic *string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	if text != nil && string(b) != *text {
		t.Errorf("%s holds %q, want %q", path, b, *text)
	}
	if magic != nil {
		if want, err := hex.DecodeString(*magic); err != nil || !bytes.HasPrefix(b, want) {
			t.Errorf("%s does not begin with %s (%v)", path, *magic, err)
		}
	}
}

type attackVector struct {
	ID     string
	Class  string
	Tags   []string
	Cells  []string
	Limits struct {
		Timeout float64 `json:"timeout_s"`
		Memory  int64   `json:"memory_mib"`
		Output  int     `json:"output_bytes"`
		Disk    int64   `json:"disk_mib"`
		Files   int     `json:"files"`
	}
	Expect struct {
		Outcome        string
		Session        string
		ErrorAny       []string          `json:"error_any"`
		StdoutNot      string            `json:"stdout_not"`
		StdoutHas      string            `json:"stdout_has"`
		StdoutAtMost   int               `json:"stdout_at_most"`
		RSSGrowth      int64             `json:"rss_growth_below_mib"`
		ScratchAtMost  int64             `json:"scratch_at_most_mib"`
		HostNoSymlink  string            `json:"host_no_symlink"`
		FilesKept      bool              `json:"files_kept"`
		HostEnv        map[string]string `json:"host_env"`
		NoControlToken bool              `json:"model_input_no_control_tokens"` // the renderer's part: output is text to it
	}
	After struct{ Code, Stdout string }
}

func TestAttackVectors(t *testing.T) {
	eachVector(t, "python_attacks*.jsonl", func(t *testing.T, c attackVector) bool {
		if needsPackages(c.Tags, c.Cells) {
			return false
		}
		t.Run(c.ID, func(t *testing.T) { runAttack(t, c) })
		return true
	})
}

func runAttack(t *testing.T, c attackVector) {
	for k, v := range c.Expect.HostEnv {
		t.Setenv(k, v)
	}
	o := Options{Dir: t.TempDir(), Memory: c.Limits.Memory << 20, Disk: c.Limits.Disk << 20, Files: c.Limits.Files}
	o.Limits.Time = time.Duration(c.Limits.Timeout * float64(time.Second))
	if c.Expect.Outcome != "timeout" {
		o.Limits.Time *= 3 // the machine may be busy, and the case is about something else
	}
	o.Limits.Output = c.Limits.Output
	s := newSession(t, o)
	if err := os.WriteFile(filepath.Join(s.dir, "kept"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := rss(t)
	var out Output
	for _, cell := range c.Cells {
		from := time.Now()
		out = run(t, s, cell)
		if limit := s.options.Limits.Time; time.Since(from) > limit+2*time.Second {
			t.Errorf("the cell took %s with a limit of %s", time.Since(from), limit)
		}
	}
	if want := c.Expect.RSSGrowth << 20; want > 0 {
		if grown := rss(t) - before; grown > want {
			t.Errorf("the process has grown by %d MiB, want below %d", grown>>20, want>>20)
		}
	}
	checkOutcome(t, c, out)
	if c.Expect.HostNoSymlink != "" {
		if _, err := os.Readlink(filepath.Join(s.dir, c.Expect.HostNoSymlink)); err == nil {
			t.Errorf("the guest has made the link %s", c.Expect.HostNoSymlink)
		}
	}
	if limit := c.Expect.ScratchAtMost << 20; limit > 0 {
		if size := folderSize(t, s.dir); size > limit {
			t.Errorf("the scratch folder holds %d MiB, want at most %d", size>>20, limit>>20)
		}
	}
	if b, err := os.ReadFile(filepath.Join(s.dir, "kept")); c.Expect.FilesKept && string(b) != "kept" {
		t.Errorf("a file was lost: %q, %v", b, err)
	}
	if got := run(t, s, c.After.Code); got.Stdout != c.After.Stdout {
		t.Errorf("after it the session printed %q, want %q", got.Text, c.After.Stdout)
	}
}

func checkOutcome(t *testing.T, c attackVector, out Output) {
	t.Helper()
	raised := out.Err != nil && slices.ContainsFunc(c.Expect.ErrorAny, func(kind string) bool {
		return kind == out.Err.Type || kind == "OSError" && slices.Contains(osErrors, out.Err.Type)
	})
	var ok bool
	switch c.Expect.Outcome {
	case "exception":
		ok = raised
	case "value":
		ok = !out.Failed()
	case "timeout":
		ok = strings.Contains(out.Lost, "time limit") && strings.Contains(out.Text, "Variables and imports are gone")
	case "memory":
		ok = raised || strings.Contains(out.Lost, "memory")
	case "truncated":
		ok = out.Cut > 0 && strings.Contains(out.Text, "bytes left out")
	case "exited", "crashed":
		ok = out.Lost != "" && !strings.Contains(out.Lost, "time limit")
	case "any":
		ok = true
	}
	if !ok {
		t.Errorf("outcome is not %q: error %+v, lost %q, text %.300q", c.Expect.Outcome, out.Err, out.Lost, out.Text)
	}
	if kept := out.Lost == ""; c.Expect.Session == "kept" && !kept || c.Expect.Session == "restarted" && kept {
		t.Errorf("session is not %s: lost %q", c.Expect.Session, out.Lost)
	}
	if no := c.Expect.StdoutNot; no != "" && strings.Contains(out.Text, no) {
		t.Errorf("the text has %q: %.300q", no, out.Text)
	}
	if !strings.Contains(out.Text, c.Expect.StdoutHas) {
		t.Errorf("the text lacks %q: %.300q", c.Expect.StdoutHas, out.Text)
	}
	if limit := c.Expect.StdoutAtMost; limit > 0 && len(out.Text) > limit {
		t.Errorf("the text has %d bytes, want at most %d", len(out.Text), limit)
	}
}

// osErrors are the subclasses of OSError.
var osErrors = []string{"BlockingIOError", "ChildProcessError", "ConnectionError", "BrokenPipeError",
	"ConnectionAbortedError", "ConnectionRefusedError", "ConnectionResetError", "FileExistsError",
	"FileNotFoundError", "InterruptedError", "IsADirectoryError", "NotADirectoryError", "PermissionError",
	"ProcessLookupError", "TimeoutError", "UnsupportedOperation", "gaierror", "Error"}

func folderSize(t *testing.T, dir string) (size int64) {
	t.Helper()
	files, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range files {
		size += info.Size()
	}
	return size
}
