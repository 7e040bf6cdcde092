package functions

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"chorale/internal/fence"
	"chorale/internal/sandbox"
	"chorale/internal/sandbox/confine"
	"chorale/tools"
)

// command is a function that runs a program.
type command struct {
	program string    // as declared: a name to look up in PATH, or a path
	args    []element // the argument vector after the program
	dir     string    // where it runs
	base    string    // what relative paths of the program start from
	env     []string  // names taken over from our own environment

	box confine.Box // what it may use besides its own folder, its program and a folder for scratch

	idempotency string // variable that bears the call's key; empty: none
}

// element is one argument of the vector: literals and placeholders.
type element struct {
	parts   []part
	options bool // the developer allows it to look like an option
}

type part struct {
	literal     string
	placeholder string // the argument whose value stands here, if not empty
}

var placeholderPattern = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)

// parseCommand reads the argv template of a function with the given schema.
func parseCommand(argv []string, s *schema) (*command, error) {
	if len(argv) == 0 || argv[0] == "" {
		return nil, errors.New("names no program")
	}
	if placeholderPattern.MatchString(argv[0]) {
		return nil, errors.New("the program is the developer's choice: no placeholder can stand in its name")
	}
	c := &command{program: argv[0]}
	options := true // until "--", what begins with - is an option to the program
	for i, text := range argv[1:] {
		e, err := parseElement(text, s)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		e.options = !options
		if text == "--" {
			options = false
		}
		c.args = append(c.args, e)
	}
	return c, nil
}

func parseElement(text string, s *schema) (element, error) {
	var e element
	rest := 0
	for _, m := range placeholderPattern.FindAllStringSubmatchIndex(text, -1) {
		name := text[m[2]:m[3]]
		if err := s.fits(name); err != nil {
			return e, err
		}
		if rest < m[0] {
			e.parts = append(e.parts, part{literal: text[rest:m[0]]})
		}
		e.parts = append(e.parts, part{placeholder: name})
		rest = m[1]
	}
	if rest < len(text) || len(e.parts) == 0 {
		e.parts = append(e.parts, part{literal: text[rest:]})
	}
	for _, p := range e.parts {
		if strings.Contains(p.literal, "{{") {
			return e, fmt.Errorf("a placeholder in %q does not end", text)
		}
	}
	return e, nil
}

// fits checks that an argument can stand in a command: a scalar that is always
// there.
func (s *schema) fits(name string) error {
	p, ok := s.properties[name]
	if !ok {
		return fmt.Errorf("placeholder {{%s}} names no argument of parameters", name)
	}
	if err := s.scalar(name); err != nil {
		return err
	}
	if p.fallback == nil && !slices.Contains(s.required, name) {
		return fmt.Errorf("placeholder {{%s}}: list the argument in required, or give it a default", name)
	}
	return nil
}

// scalar checks that an argument can stand in a text.
func (s *schema) scalar(name string) error {
	p := s.properties[name]
	for _, t := range p.types {
		if t == "object" || t == "array" || t == "null" {
			return fmt.Errorf("placeholder {{%s}}: an argument of type %s cannot stand in a text; a command finds it on standard input", name, t)
		}
	}
	if len(p.types) == 0 {
		return fmt.Errorf("placeholder {{%s}}: the argument has no type", name)
	}
	return nil
}

// maxArgument bounds what the model can put into one argument; Linux takes
// 128 KiB.
const maxArgument = 32 << 10

// expand is the argument vector for a call. The error is for the model.
func (c *command) expand(values map[string]any) ([]string, error) {
	var out []string
	for _, e := range c.args {
		var b strings.Builder
		for _, p := range e.parts {
			b.WriteString(p.literal)
			if p.placeholder == "" {
				continue
			}
			text, number := scalarText(values[p.placeholder])
			switch {
			case strings.ContainsRune(text, 0):
				return nil, fmt.Errorf("invalid arguments: %s: must not contain the character U+0000", p.placeholder)
			case b.Len() == 0 && strings.HasPrefix(text, "-") && !number && !e.options:
				return nil, fmt.Errorf("invalid arguments: %s: must not begin with \"-\"", p.placeholder)
			case len(text) > maxArgument:
				return nil, fmt.Errorf("invalid arguments: %s: longer than %d bytes", p.placeholder, maxArgument)
			}
			b.WriteString(text)
		}
		out = append(out, b.String())
	}
	return out, nil
}

// scalarText writes a value as the model did, and says whether it is a number.
func scalarText(v any) (text string, number bool) {
	switch v := v.(type) {
	case string:
		return v, false
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), false
	}
	return "", false
}

// find is the program's file.
func (c *command) find() (string, error) {
	program := c.program
	if strings.ContainsRune(program, '/') && !filepath.IsAbs(program) {
		var err error
		// Absolute, as a bare name would be looked up in PATH.
		if program, err = filepath.Abs(filepath.Join(c.base, program)); err != nil {
			return "", fmt.Errorf("command: %w", err)
		}
	}
	file, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("command: %w", err)
	}
	return filepath.Abs(file)
}

// ready reports a program, or a file that is granted to it, which is not there.
func (c *command) ready() error {
	for _, path := range slices.Concat(c.box.Read, c.box.Write) {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("read and write: %w", err)
		}
	}
	_, err := c.find()
	return err
}

// environment is all that the program sees of ours: where programs lie, what
// the developer lists, the key of the call, and a folder of its own.
func (c *command) environment(key, scratch string) []string {
	env := []string{"LANG=C.UTF-8", "HOME=" + scratch, "TMPDIR=" + scratch}
	if c.idempotency != "" {
		env = append(env, c.idempotency+"="+key)
	}
	for _, name := range append([]string{"PATH"}, c.env...) {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// exitTemporary is EX_TEMPFAIL of sysexits.h: the command may be tried again.
const exitTemporary = 75

// maxStderr bounds what a failed program may tell the model of its reasons.
const maxStderr = 2 << 10

func (c *command) run(ctx context.Context, args arguments, l tools.Limits) (tools.Result, error) {
	argv, err := c.expand(args.values)
	if err != nil {
		return failed(err, l), nil
	}
	file, err := c.find()
	if err != nil {
		return tools.Result{}, err
	}
	scratch, err := os.MkdirTemp("", "chorale-command-")
	if err != nil {
		return tools.Result{}, err
	}
	defer os.RemoveAll(scratch)
	stdout, stderr := sandbox.NewCapture(l.Output), sandbox.NewCapture(min(l.Output, maxStderr))
	processor := l.Time * time.Duration(runtime.NumCPU()) // a program may use all of them, to the last moment
	p, err := args.fence.Start(ctx, fence.Program{Scratch: scratch, Implied: cmp.Or(c.base, "."), Command: sandbox.Command{
		Path: file, Args: argv, Dir: c.dir, Env: c.environment(args.key, scratch), Stdin: strings.NewReader(args.json),
		Stdout: stdout, Stderr: stderr, Memory: l.Memory, Time: processor, Box: &c.box,
	}})
	if err != nil {
		return tools.Result{}, err
	}
	code, err := p.Wait()
	if err != nil {
		return tools.Result{}, err
	}
	text := strings.TrimRight(stdout.String(), "\r\n")
	if code == 0 {
		return tools.Result{Text: text}, nil
	}
	if code == exitTemporary {
		args.again()
	}
	if reason := strings.TrimSpace(stderr.String()); reason != "" {
		text = reason
	}
	if text == "" {
		return failed(fmt.Errorf("exit code %d", code), l), nil
	}
	const prefix = len("Error: exit code 255: ")
	return failed(fmt.Errorf("exit code %d: %s", code, sandbox.Cut(text, l.Output-prefix)), l), nil
}
