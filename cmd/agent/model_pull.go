package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"chorale/configs"
	"chorale/inference"
	"chorale/inference/hub"
	"chorale/inference/store"
	"chorale/internal/secret"
	"chorale/runtime"
)

const pullHelp = `Fetch a model from a hub that speaks the Hugging Face hub's API, and check every
file against the hash that the hub gives:

  agent model pull gpt-oss-20b
  agent model pull OWNER/NAME@REVISION --include '*Q8_0*'

Which hub it is says models.hub, --hub or AGENT_MODELS_HUB. An interrupted pull is
gone on with by the next one. Of a repository that has its weights in several forms
one is fetched: Hugging Face's, else OpenAI's own, else the only GGUF file. Patterns
match whole paths, and * stands for anything, slashes too.

Exit codes:
  0    all files are here and are what they should be
  2    the command line or the configuration is wrong
  7    the hub, the network or the disk failed
  130  interrupted; what has come is kept`

// pullFlags are what the command line says about a pull.
type pullFlags struct {
	json             bool
	include, exclude []string
	to               string
}

func newModelPull(std streams) *cobra.Command {
	var f pullFlags
	cmd := &cobra.Command{
		Use: "pull NAME|OWNER/NAME[@REVISION]", Short: "Fetch a model", Long: pullHelp, Args: one("model"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, std, args[0]) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&f.include, "include", nil, "fetch the files that match this `pattern`, and no others; repeatable")
	flags.StringArrayVar(&f.exclude, "exclude", nil, "leave out the files that match this `pattern`; repeatable")
	flags.StringVar(&f.to, "to", "", "put the files into this `folder` instead of the store")
	flags.String("hub", "", "the hub's `address`, https://host")
	flags.BoolVar(&f.json, "json", false, "print what happens as JSON lines")
	return cmd
}

func (f *pullFlags) run(cmd *cobra.Command, std streams, name string) error {
	ref, err := store.ParseRef(name)
	if err == nil && ref.Path != "" {
		err = fmt.Errorf("%q: a file is chosen with --include", name)
	}
	if err == nil {
		err = hub.CheckRepo(ref.Repo)
	}
	if err != nil {
		return err
	}
	cfg, _, err := configs.Load(".", cmd.Flags())
	if err != nil {
		return err
	}
	client, err := newHub(cfg.Models)
	if err != nil {
		return err
	}
	models, err := store.Open(cfg.Models.Dir)
	if err != nil {
		return err
	}
	v := newPullView(std, f.json)
	m, err := models.Pull(cmd.Context(), client, store.PullOptions{
		Repo: ref.Repo, Revision: cmp.Or(ref.Revision, "main"), To: f.to, Tell: v.tell,
		Selection: store.Selection{Include: f.include, Exclude: f.exclude},
	})
	code := 0
	switch {
	case cmd.Context().Err() != nil:
		code, err = runtime.ExitInterrupted, fmt.Errorf("pull %s: interrupted; what has come is kept, and the same command goes on", ref)
	case err != nil:
		code = runtime.ExitModel
	}
	if e := v.finish(m, code, err); err == nil {
		err = e
	}
	if code != 0 && f.json {
		return &exitError{code: code, told: true}
	}
	if code != 0 {
		return &exitError{code: code, err: err}
	}
	return err
}

// newHub makes the client of the hub that is configured.
func newHub(c configs.Models) (*hub.Client, error) {
	if c.Hub == "" {
		return nil, errors.New("no hub is known: write its address into agent/agent.yaml in your configuration folder, as models: {hub: 'https://…'}, or give --hub or AGENT_MODELS_HUB")
	}
	sources := map[string]secret.Source{}
	if c.TokenEnv != "" || c.TokenFile != "" {
		s := secret.Source{Env: c.TokenEnv, File: c.TokenFile}
		if err := s.Check(); err != nil {
			return nil, fmt.Errorf("models.tokenFile: %w", err)
		}
		sources[hub.Token] = s
	}
	secrets, err := secret.Read(sources)
	if err != nil {
		return nil, err
	}
	return hub.New(hub.Options{Address: c.Hub, Proxy: c.Proxy, Secrets: secrets, Agent: "chorale/" + version})
}

// summary is a model in a line.
func summary(m store.Model) string {
	return fmt.Sprintf("%s at %.12s: %s, %s, in %s", m.Ref(), m.Commit, count(len(m.Files), "file"), inference.GB(m.Size()), m.Dir)
}
