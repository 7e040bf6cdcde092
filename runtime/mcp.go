package runtime

import (
	"chorale/internal/secret"
	"chorale/internal/strictyaml"
)

// MCPSpec grants tools of one MCP server: a program that is started for the
// run, or an address. Its names and descriptions reach the model once somebody
// has accepted them.
type MCPSpec struct {
	Name     string                   `yaml:"name,required"` // first part of its functions' names
	Command  []string                 `yaml:"command,omitempty"`
	URL      string                   `yaml:"url,omitempty"`
	Only     []string                 `yaml:"only,required"`      // the tools that exist for the model
	ReadOnly []string                 `yaml:"readOnly,omitempty"` // those of them that change nothing
	Env      []string                 `yaml:"env,omitempty"`      // names of variables that the program gets
	Headers  map[string]string        `yaml:"headers,omitempty"`  // of each request to the address
	Secrets  map[string]secret.Source `yaml:"secrets,omitempty"`  // for headers, or the program's variables
	Read     []string                 `yaml:"read,omitempty"`     // files and folders that the program reads besides the task's folder
	Write    []string                 `yaml:"write,omitempty"`    // and those that it changes
	Network  bool                     `yaml:"network,omitempty"`  // whether the program has the network
	Timeout  strictyaml.Duration      `yaml:"timeout,omitempty"`  // of one call
	Output   strictyaml.Size          `yaml:"output,omitempty"`   // of one call
	Memory   strictyaml.Size          `yaml:"memory,omitempty"`   // of the program
}
