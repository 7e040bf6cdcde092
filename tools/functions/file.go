package functions

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"

	"chorale/internal/fence"
	"chorale/internal/mount"
	"chorale/internal/sandbox/confine"
	"chorale/internal/secret"
	"chorale/internal/strictyaml"
)

// document is a functions file as it is written.
type document struct {
	Secrets   map[string]secret.Source `yaml:"secrets"` // for http functions, by name
	Functions []*declaration           `yaml:"functions,required"`
}

type declaration struct {
	Name        string              `yaml:"name,required"`
	Description string              `yaml:"description,required"`
	Parameters  parameters          `yaml:"parameters"`
	SideEffect  *bool               `yaml:"sideEffect"` // true unless stated
	Result      *parameters         `yaml:"result"`     // schema of the result, which is JSON then
	Command     []string            `yaml:"command"`
	HTTP        *httpRequest        `yaml:"http"`
	Timeout     strictyaml.Duration `yaml:"timeout"`
	Output      strictyaml.Size     `yaml:"output"`
	Retries     int                 `yaml:"retries"`     // after failures that may pass
	Idempotency string              `yaml:"idempotency"` // header or variable that bears a key, equal in all tries of a call
	Env         []string            `yaml:"env"`
	Workdir     string              `yaml:"workdir"`
	Read        []string            `yaml:"read"`    // files and folders that the command reads besides its own folder
	Write       []string            `yaml:"write"`   // and those that it changes
	Network     bool                `yaml:"network"` // whether it has the network

	command *command
}

// parameters is a schema as it is written; compiled is nil without one.
type parameters struct {
	raw      json.RawMessage
	compiled *schema
}

func (p *parameters) DecodeNode(n strictyaml.Node) error {
	if err := n.Decode(&p.raw); err != nil {
		return err
	}
	var err error
	if p.compiled, err = compileSchema(p.raw); err != nil {
		return placed(err)
	}
	return nil
}

// placed puts a schema's fault at its place in the file.
func placed(err error) error {
	var at *schemaError
	if !errors.As(err, &at) {
		return err
	}
	err = errors.New(at.msg)
	for i := len(at.path) - 1; i >= 0; i-- {
		err = strictyaml.At(at.path[i], err)
	}
	return err
}

var envPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Check implements strictyaml.Checker.
func (d *declaration) Check() (err error) {
	if !namePattern.MatchString(d.Name) {
		return strictyaml.At("name", errName)
	}
	for i, name := range d.Env {
		if !envPattern.MatchString(name) {
			return strictyaml.At("env", strictyaml.At(strconv.Itoa(i), fmt.Errorf("%q is no name of a variable; values are not written here", name)))
		}
	}
	if d.Parameters.compiled == nil {
		if d.Parameters.compiled, err = compileSchema(nil); err != nil {
			return err
		}
	}
	switch {
	case (d.Command != nil) == (d.HTTP != nil):
		return errors.New("give exactly one of command and http")
	case d.Retries < 0 || d.Retries > maxRetries:
		return strictyaml.At("retries", fmt.Errorf("must be 0 to %d", maxRetries))
	case d.Retries > 0 && d.Idempotency == "" && (d.SideEffect == nil || *d.SideEffect):
		return strictyaml.At("retries", errors.New("a function with side effects is tried again only with an idempotency key; name its header or variable under idempotency"))
	}
	if d.HTTP != nil {
		return d.checkHTTP()
	}
	if d.Idempotency != "" && !envPattern.MatchString(d.Idempotency) {
		return strictyaml.At("idempotency", fmt.Errorf("%q is no name of a variable", d.Idempotency))
	}
	if d.command, err = parseCommand(d.Command, d.Parameters.compiled); err != nil {
		return strictyaml.At("command", err)
	}
	return nil
}

// Check refuses a name that is declared twice.
func (d *document) Check() error {
	seen := map[string]bool{}
	for i, f := range d.Functions {
		if seen[f.Name] {
			return strictyaml.At("functions", strictyaml.At(strconv.Itoa(i), strictyaml.At("name", fmt.Errorf("function %q is declared twice", f.Name))))
		}
		seen[f.Name] = true
		if f.HTTP == nil {
			continue
		}
		if err := f.HTTP.bind(f.Parameters.compiled, d.Secrets); err != nil {
			return strictyaml.At("functions", strictyaml.At(strconv.Itoa(i), strictyaml.At("http", err)))
		}
	}
	return nil
}

// Parse reads a functions file. Name is the file's, for errors, which give line
// and column; programs and working directories that are relative start from
// dir, and commands run in dir unless they say otherwise.
func Parse(name string, src []byte, dir string) (*Set, error) {
	var doc document
	if err := strictyaml.DecodeKind(name, src, "Functions", &doc); err != nil {
		return nil, err
	}
	set := &Set{}
	for _, d := range doc.Functions {
		set.functions = append(set.functions, d.function(dir))
	}
	return set, nil
}

func (d *declaration) function(dir string) Function {
	f := Function{
		name: d.Name, description: d.Description, parameters: d.Parameters.raw,
		readOnly: d.SideEffect != nil && !*d.SideEffect,
		timeout:  d.Timeout.Std(), output: int(d.Output),
		schema: d.Parameters.compiled,
	}
	if d.HTTP != nil {
		d.HTTP.idempotency = d.Idempotency
		f.run, f.ready, f.reach = d.HTTP.run, d.HTTP.ready, []string{d.HTTP.origin.String()}
	} else {
		d.command.base, d.command.dir, d.command.env = dir, filepath.Join(dir, d.Workdir), d.Env
		d.command.idempotency = d.Idempotency
		if filepath.IsAbs(d.Workdir) {
			d.command.dir = d.Workdir
		}
		d.command.box = confine.Box{Read: below(dir, d.Read), Write: below(dir, d.Write), Network: d.Network}
		f.run, f.ready = d.command.run, d.command.ready
		if d.Network {
			f.reach = []string{fence.Any}
		}
		for _, path := range d.command.box.Read {
			f.folders = append(f.folders, Folder{path, mount.ReadOnly})
		}
		for _, path := range d.command.box.Write {
			f.folders = append(f.folders, Folder{path, mount.ReadWrite})
		}
	}
	f.run = retrying(f.run, d.Retries)
	if d.Result != nil {
		f.run = checking(f.run, d.Result.compiled)
	}
	return f
}

// below are the paths, those that are relative starting from dir.
func below(dir string, paths []string) []string {
	var out []string
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			p = filepath.Join(dir, p)
		}
		out = append(out, p)
	}
	return out
}

// Load is Parse for a file on disk.
func Load(path string) (*Set, error) {
	src, err := strictyaml.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("functions: %w", err)
	}
	return Parse(path, src, filepath.Dir(path))
}
