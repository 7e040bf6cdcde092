package store

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"chorale/inference/hub"
)

// Selection says which files of a repository are wanted. Patterns are matched
// against the whole path; * stands for anything, slashes too, as the hub's own
// tools have it, and a pattern that ends in / means all in that folder.
type Selection struct {
	Include []string // empty: what this program reads of the repository, and its licence
	Exclude []string
}

// Choose returns the files that are wanted, the smallest first.
func (s Selection) Choose(files []hub.File) ([]hub.File, error) {
	var out []hub.File
	var err error
	if len(s.Include) == 0 {
		out, err = usual(files)
	} else {
		out, err = matching(files, s.Include, true)
	}
	if err == nil && len(s.Exclude) > 0 {
		out, err = matching(out, s.Exclude, false)
	}
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no file is left to pull; there are %s", names(files))
	}
	slices.SortStableFunc(out, func(a, b hub.File) int { return cmp.Compare(a.Size, b.Size) })
	return out, nil
}

// matching keeps the files that match one of the patterns, or that match none.
func matching(files []hub.File, patterns []string, keep bool) ([]hub.File, error) {
	var all []*regexp.Regexp
	for _, p := range patterns {
		re, err := compile(p)
		if err != nil {
			return nil, err
		}
		if keep && !slices.ContainsFunc(files, func(f hub.File) bool { return re.MatchString(f.Path) }) {
			return nil, fmt.Errorf("no file matches %q; there are %s", p, names(files))
		}
		all = append(all, re)
	}
	var out []hub.File
	for _, f := range files {
		if slices.ContainsFunc(all, func(re *regexp.Regexp) bool { return re.MatchString(f.Path) }) == keep {
			out = append(out, f)
		}
	}
	return out, nil
}

func compile(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, fmt.Errorf("a pattern is empty")
	}
	if strings.HasSuffix(pattern, "/") {
		pattern += "*"
	}
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(quoted)
	return regexp.Compile("^" + quoted + "$")
}

// names are the files of a repository in words, those of many cut short.
func names(files []hub.File) string {
	const most = 20
	var out []string
	for _, f := range files[:min(len(files), most)] {
		out = append(out, f.Path)
	}
	if n := len(files) - most; n > 0 {
		out = append(out, fmt.Sprintf("%d more", n))
	}
	return strings.Join(out, ", ")
}

// besides are the files in the top folder that come with any weights.
var besides = regexp.MustCompile(`^([^/]*\.(json|jinja|md|txt)|(LICENSE|NOTICE|USAGE_POLICY|README)[^/]*)$`)

// shard is the number in the name of one of several files of the same weights.
var shard = regexp.MustCompile(`-\d{5}-of-\d{5}(\.gguf)$`)

// usual chooses among the forms in which a repository has its weights. They say
// the same, and each is as large as the model: Hugging Face's before OpenAI's own
// in original/, and a GGUF file where it is the only one.
func usual(files []hub.File) ([]hub.File, error) {
	var out []hub.File
	for _, f := range files {
		if besides.MatchString(f.Path) {
			out = append(out, f)
		}
	}
	for _, dir := range []string{".", "original"} {
		weights := slices.DeleteFunc(slices.Clone(files), func(f hub.File) bool {
			return path.Dir(f.Path) != dir || path.Ext(f.Path) != ".safetensors"
		})
		if len(weights) == 0 {
			continue
		}
		for _, f := range files {
			if dir != "." && path.Dir(f.Path) == dir && path.Ext(f.Path) == ".json" {
				out = append(out, f)
			}
		}
		return append(out, weights...), nil
	}
	quantized := slices.DeleteFunc(slices.Clone(files), func(f hub.File) bool { return path.Ext(f.Path) != ".gguf" })
	kinds := map[string]bool{}
	for _, f := range quantized {
		kinds[shard.ReplaceAllString(f.Path, "$1")] = true
	}
	switch len(kinds) {
	case 0:
		return nil, fmt.Errorf("there are no weights that this program reads (*.safetensors or *.gguf); there are %s", names(files))
	case 1:
		return append(out, quantized...), nil
	}
	return nil, fmt.Errorf("there are several GGUF files; say which with --include: %s", names(quantized))
}

// variant is a checkpoint among the files of a model.
type variant struct {
	Path   string // the folder, or the GGUF file; "." for the top folder
	Format string
	files  []File // that are read, by their base names
}

// Formats, as `agent model ls` names them.
const (
	HuggingFace = "safetensors"
	Original    = "openai"
	GGUF        = "gguf"
)

// read are the files that opening a folder reads.
var read = regexp.MustCompile(`^(config|generation_config|tokenizer|tokenizer_config|model\.safetensors\.index)\.json$|\.safetensors$`)

// variants are the checkpoints in a list of files, the usual one first.
func variants(files []File) []variant {
	var out []variant
	for _, f := range files {
		dir := path.Dir(f.Path)
		switch ext := path.Ext(f.Path); {
		case ext == ".gguf":
			out = addGGUF(out, f)
		case ext != ".safetensors" || slices.ContainsFunc(out, func(v variant) bool { return v.Path == dir }):
		default:
			v := variant{Path: dir, Format: HuggingFace}
			if path.Base(dir) == "original" {
				v.Format = Original
			}
			for _, g := range files {
				if path.Dir(g.Path) == dir && read.MatchString(path.Base(g.Path)) {
					v.files = append(v.files, based(g))
				}
			}
			out = append(out, v)
		}
	}
	rank := func(v variant) int {
		switch {
		case v.Path == ".":
			return 0
		case v.Format == Original:
			return 1
		case v.Format == HuggingFace:
			return 2
		}
		return 3
	}
	slices.SortStableFunc(out, func(a, b variant) int { return cmp.Or(rank(a)-rank(b), cmp.Compare(a.Path, b.Path)) })
	return out
}

// addGGUF adds a GGUF file. One of several parts belongs to the first, by which
// they are opened.
func addGGUF(to []variant, f File) []variant {
	whole := shard.ReplaceAllString(f.Path, "$1")
	for i, v := range to {
		if v.Format == GGUF && whole != f.Path && shard.ReplaceAllString(v.Path, "$1") == whole {
			to[i].Path = min(v.Path, f.Path)
			to[i].files = append(to[i].files, based(f))
			return to
		}
	}
	return append(to, variant{Path: f.Path, Format: GGUF, files: []File{based(f)}})
}

func based(f File) File {
	f.Path = path.Base(f.Path)
	return f
}

// variant returns the checkpoint at a path of the model, or the usual one.
func (m Model) variant(at string) (variant, error) {
	all := variants(m.Files)
	for _, v := range all {
		if v.Path == at {
			return v, nil
		}
	}
	var paths []string
	for _, v := range all {
		paths = append(paths, fmt.Sprintf("%s:%s", m.Ref(), v.Path))
	}
	switch {
	case len(all) == 0:
		return variant{}, fmt.Errorf("%s: no weights were pulled, only %s", m.Ref(), fileNames(m.Files))
	case at != "":
		return variant{}, fmt.Errorf("%s: %s is no checkpoint that was pulled; there is %s", m.Ref(), at, strings.Join(paths, ", "))
	case len(all) > 1 && all[0].Format == GGUF:
		return variant{}, fmt.Errorf("%s is several checkpoints; say which: %s", m.Ref(), strings.Join(paths, ", "))
	}
	return all[0], nil
}

// Formats are those of the model's checkpoints, the usual one first.
func (m Model) Formats() []string {
	var out []string
	for _, v := range variants(m.Files) {
		if !slices.Contains(out, v.Format) {
			out = append(out, v.Format)
		}
	}
	return out
}

func fileNames(files []File) string {
	var out []hub.File
	for _, f := range files {
		out = append(out, hub.File{Path: f.Path})
	}
	return names(out)
}
