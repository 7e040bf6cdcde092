package configs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/pflag"
)

// TestOrder sets one key at every source, highest last, and sees each win.
func TestOrder(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("HOME", home)
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	flags.String("device", "", "")
	want := func(value, from string) {
		t.Helper()
		c, s, err := Load(dir, flags)
		if err != nil {
			t.Fatal(err)
		}
		got, source := s.Explain("device")
		if c.Device != value || got != value || !strings.Contains(source, from) {
			t.Errorf("device is %q, explained as %q from %q; want %q from %q", c.Device, got, source, value, from)
		}
	}
	want("auto", "default")
	user, err := os.UserConfigDir()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(user, "agent", "agent.yaml"), "device: d-user\n")
	want("d-user", "user file")
	write(t, filepath.Join(dir, ".agent.yaml"), "device: d-project\n")
	want("d-project", "project file")
	t.Setenv("AGENT_DEVICE", "d-env")
	want("d-env", "AGENT_DEVICE")
	if err := flags.Parse([]string{"--device", "d-flag"}); err != nil {
		t.Fatal(err)
	}
	want("d-flag", "--device")
}

// TestPoliciesAddUp: a higher source adds policies and takes none away.
func TestPoliciesAddUp(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("HOME", home)
	write(t, filepath.Join(dir, "configs", "agent.yaml"), "policies: [office.yaml]\n")
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	flags.StringArray("policy", nil, "")
	if err := flags.Parse([]string{"--policy", "mine.yaml"}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AGENT_POLICIES", "env.yaml")
	c, _, err := Load(dir, flags)
	if err != nil {
		t.Fatal(err)
	}
	want := []Policy{{filepath.Join(dir, "configs", "office.yaml"), true}, {"env.yaml", false}, {"mine.yaml", false}}
	if len(c.Policies) != len(want) {
		t.Fatalf("policies: got %v, want %v", c.Policies, want)
	}
	for i := range want {
		if c.Policies[i] != want[i] {
			t.Errorf("policy %d: got %v, want %v", i, c.Policies[i], want[i])
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct{ file, want string }{
		"unknown key":                {"devise: gpu\n", `did you mean "device"?`},
		"wrong type":                 {"model: 7\n", "must be a string"},
		"nowhere":                    {"runs: ''\n", "must name the folder that runs are kept in"},
		"wrong word":                 {"approve: maybe\n", "neither ask nor deny"},
		"a hub that a project chose": {"models: {hub: 'https://hub.example'}\n", "a project cannot say where models and tokens go"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, home := t.TempDir(), t.TempDir()
			t.Setenv("XDG_CONFIG_HOME", home)
			t.Setenv("HOME", home)
			write(t, filepath.Join(dir, ".agent.yaml"), tc.file)
			_, _, err := Load(dir, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), ".agent.yaml") {
				t.Errorf("got error %v, want one that names the file and says %q", err, tc.want)
			}
		})
	}
	t.Run("environment", func(t *testing.T) {
		t.Setenv("AGENT_APPROVE", "maybe")
		if _, _, err := Load(t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "AGENT_APPROVE") {
			t.Errorf("got error %v, want one that names AGENT_APPROVE", err)
		}
	})
}

// TestCommentsAlone: a file whose keys are all commented out has none.
func TestCommentsAlone(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("HOME", home)
	write(t, filepath.Join(dir, ".agent.yaml"), "# model: gpt-oss-20b\n\n  # device: cpu\n")
	if c, _, err := Load(dir, nil); err != nil || c.Model != "pocket" {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestDefaultsNameEveryKey: default.yaml is the documentation of the keys.
func TestDefaultsNameEveryKey(t *testing.T) {
	for _, key := range Keys {
		line := "\n" + key + ":"
		if _, inner, nested := strings.Cut(key, "."); nested {
			line = "\n  " + inner + ":"
		}
		if !bytes.Contains(defaults, []byte(line)) {
			t.Errorf("default.yaml does not have %s", key)
		}
	}
}

// TestModels: nested keys come from the user's file and from variables.
func TestModels(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("HOME", home)
	write(t, userFile()[0], "models: {hub: 'https://hub.example', tokenEnv: MY_TOKEN}\n")
	t.Setenv("AGENT_MODELS_DIR", "/models")
	c, s, err := Load(t.TempDir(), nil)
	if want := (Models{Hub: "https://hub.example", Dir: "/models", TokenEnv: "MY_TOKEN"}); err != nil || c.Models != want {
		t.Fatalf("got %+v, %v; want %+v", c.Models, err, want)
	}
	for key, want := range map[string]string{"models.hub": "user file", "models.dir": "AGENT_MODELS_DIR", "models.proxy": "default"} {
		if _, from := s.Explain(key); !strings.Contains(from, want) {
			t.Errorf("%s comes from %q, want %s", key, from, want)
		}
	}
	t.Setenv("AGENT_MODELS_TOKEN_FILE", "/token")
	if _, _, err := Load(t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "not in both") {
		t.Errorf("two tokens: %v", err)
	}
}

func TestSchemaCompiles(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(TaskSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("task.json", doc); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compile("task.json"); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
