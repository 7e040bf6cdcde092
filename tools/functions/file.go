package functions

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"

	"chorale/internal/strictyaml"
)

// document is a functions file as it is written.
type document struct {
	Functions []*declaration `yaml:"functions,required"`
}

type declaration struct {
	Name        string              `yaml:"name,required"`
	Description string              `yaml:"description,required"`
	Parameters  parameters          `yaml:"parameters"`
	SideEffect  *bool               `yaml:"sideEffect"` // true unless stated
	Command     []string            `yaml:"command,required"`
	Timeout     strictyaml.Duration `yaml:"timeout"`
	Output      strictyaml.Size     `yaml:"output"`
	Env         []string            `yaml:"env"`
	Workdir     string              `yaml:"workdir"`

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
	if p.compiled, err = compileSchema(p.raw); err == nil {
		return nil
	}
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
	d.command.base, d.command.dir, d.command.env = dir, filepath.Join(dir, d.Workdir), d.Env
	if filepath.IsAbs(d.Workdir) {
		d.command.dir = d.Workdir
	}
	return Function{
		name: d.Name, description: d.Description, parameters: d.Parameters.raw,
		readOnly: d.SideEffect != nil && !*d.SideEffect,
		timeout:  d.Timeout.Std(), output: int(d.Output),
		schema: d.Parameters.compiled, run: d.command.run,
		ready: func() error { _, err := d.command.find(); return err },
	}
}

// Load is Parse for a file on disk.
func Load(path string) (*Set, error) {
	src, err := strictyaml.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("functions: %w", err)
	}
	return Parse(path, src, filepath.Dir(path))
}
