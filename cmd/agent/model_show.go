package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"chorale/configs"
	"chorale/inference"
	"chorale/inference/hub"
	"chorale/inference/pocket"
	"chorale/inference/store"
	"chorale/runtime"
)

// listed is a model as `agent model ls` has it.
type listed struct {
	Ref      string   `json:"ref"`
	Repo     string   `json:"repo,omitempty"`
	Formats  []string `json:"formats"`
	Size     int64    `json:"size"` // bytes of all files
	Commit   string   `json:"commit,omitempty"`
	Complete bool     `json:"complete"`
	Verified string   `json:"verified,omitempty"` // when its files were last hashed
	Bad      []string `json:"bad,omitempty"`      // the files that were wrong then
	Path     string   `json:"path"`
}

func newModelList(std streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "ls", Short: "List the models that are here", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			models, err := openStore(cmd)
			if err != nil {
				return err
			}
			all, err := models.List()
			if err != nil {
				std.log.Warn(err)
			}
			rows := []listed{embedded()}
			for _, m := range all {
				rows = append(rows, listing(m))
			}
			if asJSON {
				return printJSON(std, rows)
			}
			return printTable(std, rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

func embedded() listed {
	size := int64(0)
	for _, b := range pocket.Files() {
		size += int64(len(b))
	}
	return listed{Ref: inference.Pocket, Formats: []string{store.HuggingFace}, Size: size, Complete: true, Path: "(in the program)"}
}

func listing(m store.Model) listed {
	l := listed{
		Ref: m.Ref(), Repo: m.Repo, Formats: m.Formats(), Size: m.Size(), Commit: m.Commit,
		Complete: m.Complete, Bad: m.Checked.Bad, Path: m.Dir,
	}
	if !m.Checked.At.IsZero() {
		l.Verified = m.Checked.At.Format("2006-01-02")
	}
	return l
}

func printTable(std streams, rows []listed) error {
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MODEL\tFORMAT\tSIZE\tREVISION\tVERIFIED\tPATH")
	for _, r := range rows {
		verified := r.Verified
		switch {
		case !r.Complete:
			verified = "incomplete"
		case len(r.Bad) > 0:
			verified = "damaged"
		case verified == "":
			verified = "-"
		}
		revision := r.Commit[:min(len(r.Commit), 12)]
		if revision == "" {
			revision = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Ref, strings.Join(r.Formats, "+"), inference.GB(r.Size), revision, verified, r.Path)
	}
	return w.Flush()
}

func newModelInfo(std streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "info MODEL", Short: "Say what a model is, without loading it", Args: one("model"),
		Long: "Say what the files of a model say of it: a pulled one by its name, one at a path,\nor pocket. Its weights are not read.",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, _, err := configs.Load(".", cmd.Flags())
			if err != nil {
				return err
			}
			place, err := findModel(cmd.Context(), args[0], cfg.Models)
			if err != nil {
				return modelError(err)
			}
			defer place.Close()
			d, err := inference.Describe(place.path)
			if err != nil {
				return modelError(err)
			}
			if place.name != "" {
				d.Name = place.name
			}
			if asJSON {
				return printJSON(std, struct {
					inference.Description
					Path   string `json:"path"`
					Digest string `json:"digest,omitempty"`
				}{d, place.path, place.digest})
			}
			return printInfo(std, d, place)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

// millions writes a number as people say it of models.
func millions(n int64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.2f billion", float64(n)/1e9)
	}
	return fmt.Sprintf("%.2f million", float64(n)/1e6)
}

func printInfo(std streams, d inference.Description, place checkpoint) error {
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	row := func(key, format string, values ...any) { fmt.Fprintf(w, key+"\t"+format+"\n", values...) }
	sliding, window := 0, 0
	for _, n := range d.Windows {
		if n > 0 {
			sliding, window = sliding+1, n
		}
	}
	row("model", "%s", show(d.Name))
	row("path", "%s", show(place.path))
	row("format", "%s", d.Format)
	row("parameters", "%s in %s", millions(d.Parameters), count(d.Tensors, "tensor"))
	row("size", "%s", inference.GB(d.Bytes))
	for _, r := range d.Roles {
		row("  "+r.Name, "%s  %s", inference.GB(r.Bytes), strings.Join(r.Types, " "))
	}
	row("layers", "%d, of which %d see %d tokens and the others all", d.Layers, sliding, window)
	row("hidden", "%d", d.Hidden)
	row("attention", "%d query heads, %d of keys and values, of %d", d.Heads, d.KVHeads, d.HeadDim)
	row("experts", "%d a layer, %d for a token, of width %d", d.Experts, d.TopK, d.ExpertWidth)
	row("context", "%d tokens", d.MaxContext)
	row("vocabulary", "%d", d.Vocab)
	row("tokenizer", "%s", d.Tokenizer)
	if place.digest != "" {
		row("digest", "%s", place.digest)
	}
	return w.Flush()
}

const verifyHelp = `Hash the files of a pulled model again, and compare them with its manifest. MODEL is
its name, or the folder of "agent model pull --to".

Exit codes:
  0  every file is what it was when it was pulled
  1  a file is not; "agent model pull" fetches it again
  2  there is no such model
  7  a file cannot be read`

func newModelVerify(std streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "verify MODEL", Short: "Hash the files of a pulled model again", Long: verifyHelp, Args: one("model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := pulledModel(cmd, args[0])
			if err != nil {
				return err
			}
			wrong, err := verify(cmd, std, m)
			if err != nil {
				return &exitError{code: runtime.ExitModel, err: err}
			}
			if asJSON {
				err = printJSON(std, struct {
					Ref   string            `json:"ref"`
					Path  string            `json:"path"`
					Files int               `json:"files"`
					Wrong map[string]string `json:"wrong"`
				}{m.Ref(), m.Dir, len(m.Files), wrong})
			} else {
				err = printVerdict(std, m, wrong)
			}
			if err == nil && len(wrong) > 0 {
				err = &exitError{code: 1}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

func verify(cmd *cobra.Command, std streams, m store.Model) (map[string]string, error) {
	show, before, last := byteProgress(std, "checking"), int64(0), ""
	sizes := map[string]int64{}
	for _, f := range m.Files {
		sizes[f.Path] = f.Size
	}
	return m.Verify(cmd.Context(), func(e hub.Event) {
		if e, ok := e.(hub.Checking); ok {
			if e.Path != last {
				before, last = before+sizes[last], e.Path
			}
			show(before+e.Done, m.Size())
		}
	})
}

func printVerdict(std streams, m store.Model, wrong map[string]string) error {
	for _, f := range m.Files {
		if said := wrong[f.Path]; said != "" {
			fmt.Fprintf(std.out, "%s: %s\n", f.Path, said)
		}
	}
	if len(wrong) == 0 {
		_, err := fmt.Fprintf(std.out, "%s: %s, all as they were pulled\n", m.Ref(), count(len(m.Files), "file"))
		return err
	}
	_, err := fmt.Fprintf(std.out, "%d of %s wrong; fetch them again with: agent model pull %s\n", len(wrong), count(len(m.Files), "file"), m.PullRef())
	return err
}

const removeHelp = `Delete a pulled model. On a terminal it is asked for; elsewhere --yes must be given.
A model that a run uses is not deleted.

Exit codes:
  0  it is gone
  1  not deleted: the answer was no
  2  there is no such model, it is in use, or nobody could be asked`

func newModelRemove(std streams) *cobra.Command {
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use: "rm MODEL", Short: "Delete a pulled model", Long: removeHelp, Args: one("model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := pulledModel(cmd, args[0])
			if err != nil {
				return err
			}
			models, err := openStore(cmd)
			if err != nil {
				return err
			}
			switch {
			case yes:
			case !std.answers:
				return fmt.Errorf("delete %s? Nobody can be asked here; say --yes", summary(m))
			default:
				if yes, err = confirmed(cmd.Context(), std, "delete "+summary(m)+"?"); err != nil {
					return err
				}
			}
			if !yes {
				return &exitError{code: 1}
			}
			if err := models.Remove(m); err != nil {
				return err
			}
			if asJSON {
				return printJSON(std, map[string]string{"removed": m.Ref(), "commit": m.Commit})
			}
			_, err = fmt.Fprintf(std.out, "deleted %s\n", summary(m))
			return err
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

func openStore(cmd *cobra.Command) (*store.Store, error) {
	cfg, _, err := configs.Load(".", cmd.Flags())
	if err != nil {
		return nil, err
	}
	return store.Open(cfg.Models.Dir)
}

// pulledModel is the model of a name, or of a folder that was pulled to.
func pulledModel(cmd *cobra.Command, name string) (store.Model, error) {
	if isPath(name) {
		dir, err := filepath.Abs(name)
		if err != nil {
			return store.Model{}, err
		}
		return store.Folder(dir)
	}
	if name == inference.Pocket {
		return store.Model{}, fmt.Errorf("%s is embedded in the program: it has no files to verify or to delete", name)
	}
	ref, err := store.ParseRef(name)
	if err != nil {
		return store.Model{}, err
	}
	models, err := openStore(cmd)
	if err != nil {
		return store.Model{}, err
	}
	return models.Find(ref)
}

func printJSON(std streams, v any) error {
	enc := json.NewEncoder(std.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
