package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"chorale/configs"
	"chorale/harmony"
	"chorale/internal/fence"
	"chorale/internal/mount"
	"chorale/internal/secret"
	"chorale/internal/wall"
	"chorale/policies"
	"chorale/policies/provenance"
	"chorale/runtime"
	"chorale/tools"
	"chorale/tools/browser"
	"chorale/tools/browser/search"
	"chorale/tools/browser/search/index"
	"chorale/tools/functions"
)

// browse is the browser of a task: what it may reach and do.
type browse struct {
	job     *runtime.Job
	spec    *runtime.BrowserSpec
	hosts   [][]string      // of policies
	within  *fence.Fence    // policies' folders
	config  *configs.Search // nil: what is configured is not known
	options browser.Options // without what belongs to one run
	open    atomic.Pointer[browser.Browser]
}

// newBrowse checks what can be checked before a run.
func newBrowse(job *runtime.Job, hosts [][]string, within *fence.Fence, config *configs.Search) (*browse, error) {
	b := &browse{job: job, spec: job.Task.Tools.Browser, hosts: hosts, within: within, config: config}
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("%s: tools.browser: %w", job.Path(job.Files[0].Path), err)
	}
	return b, nil
}

func (b *browse) check() error {
	s := b.spec
	if err := browser.CheckAllow(s.Allow); err != nil {
		return err
	}
	b.options = browser.Options{Allow: s.Allow, Within: b.hosts, MaxPages: s.MaxPages, Methods: s.Methods, MaxUpload: int64(s.MaxUpload), Downloads: int64(s.Downloads), JavaScript: s.JavaScript, Pages: len(s.Functions) > 0}
	for _, name := range s.Functions {
		if !slices.ContainsFunc(browser.PageFunctions(), func(f browser.PageFunction) bool { return f.Name == name }) {
			return fmt.Errorf("functions: there is no function %q for pages", name)
		}
	}
	if len(s.Uploads) > 0 && !slices.Contains(s.Functions, "page_upload") {
		return errors.New("uploads: page_upload, which would use them, is not among the functions")
	}
	for _, name := range s.Uploads {
		at, err := b.folder(name)
		if err != nil {
			return fmt.Errorf("uploads: %w", err)
		}
		b.options.Uploads = append(b.options.Uploads, at)
	}
	if s.Profile != "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		b.options.Profile = filepath.Join(dir, "agent", "browser", s.Profile)
	}
	if b.provider() == runtime.DuckDuckGo {
		b.options.Allow = append(slices.Clone(s.Allow), "https://html.duckduckgo.com")
	}
	searcher, err := b.searcher()
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	if b.config != nil {
		b.settle()
	}
	if c, ok := searcher.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// folder is where a folder of the task lies, if policies leave it. Links that
// lead out of the task's folder are refused.
func (b *browse) folder(name string) (string, error) {
	at, err := b.within.Folder(b.job.Path(name), mount.ReadOnly)
	if err != nil {
		return "", err
	}
	root, err := mount.Resolve("", b.job.Path("."))
	if err != nil {
		return "", err
	}
	to, err := mount.Resolve("", at)
	if err != nil {
		return "", err
	}
	if inside, err := filepath.Rel(root, to); err != nil || !filepath.IsLocal(inside) {
		return "", fmt.Errorf("%s leads out of the task's folder", name)
	}
	if info, err := os.Stat(to); err != nil {
		return "", err
	} else if !info.IsDir() {
		return "", fmt.Errorf("%s is no folder", name)
	}
	return to, nil
}

// provider is what the task searches with, else what is configured, else the
// first that is set up; empty if none is.
func (b *browse) provider() string {
	s := cmp.Or(b.spec.Search, &runtime.SearchSpec{})
	named := func(p string) bool { return p != "" && p != runtime.SearchAuto }
	switch {
	case named(s.Provider):
		return s.Provider
	case s.Folder != "" || len(s.Sites) > 0:
		return runtime.SearchIndex
	case s.Address != "":
		return runtime.SearXNG
	case b.config == nil:
		return ""
	case named(b.config.Provider):
		return b.config.Provider
	case b.config.Folder != "":
		return runtime.SearchIndex
	case b.config.SearXNG != "":
		return runtime.SearXNG
	}
	for _, name := range runtime.SearchServices {
		if b.keySet(name) {
			return name
		}
	}
	return ""
}

// key is where the key of a service is.
func (b *browse) key(name string) secret.Source {
	at := b.config.Key(name)
	if filepath.IsAbs(at) || strings.HasPrefix(at, "~/") {
		return secret.Source{File: at}
	}
	return secret.Source{Env: at}
}

func (b *browse) keySet(name string) bool {
	_, err := secret.Read(map[string]secret.Source{name: b.key(name)})
	return err == nil
}

// about says whom the browser asks: questions are told to them.
func (b *browse) about() string {
	if p := b.provider(); p != "" && p != runtime.SearchNone {
		return "searches with " + p
	}
	return ""
}

// settle writes down in the task what it searches with, so that the run's lock
// has it.
func (b *browse) settle() {
	s := *cmp.Or(b.spec.Search, &runtime.SearchSpec{})
	s.Provider = cmp.Or(b.provider(), runtime.SearchNone)
	b.spec.Search = &s
}

// searcher makes the provider; nil if there is none.
func (b *browse) searcher() (browser.Searcher, error) {
	s := cmp.Or(b.spec.Search, &runtime.SearchSpec{})
	o := search.Options{Within: b.hosts}
	switch p := b.provider(); p {
	case "", runtime.SearchNone:
		return nil, nil
	case runtime.SearchIndex:
		return b.index(s)
	case runtime.DuckDuckGo:
		return search.ByDuckDuckGo(o)
	case runtime.SearXNG:
		o.Address = s.Address
		if o.Address == "" && b.config != nil {
			o.Address = b.config.SearXNG
		}
		if o.Address == "" {
			if b.config == nil {
				return nil, nil
			}
			return nil, errors.New("the address of the SearXNG instance is missing: give it as address, or configure search.searxng")
		}
		return search.SearXNG(o)
	default:
		if !slices.Contains(runtime.SearchServices, p) {
			return nil, fmt.Errorf("there is no provider %q; see agent config explain search.provider", p)
		}
		if b.config == nil {
			return nil, nil // keys are the machine's, not the task's
		}
		o.Key = b.key(p)
		return search.Keyed(p, o)
	}
}

// index makes the provider of a folder or of sites.
func (b *browse) index(s *runtime.SearchSpec) (browser.Searcher, error) {
	o := index.Options{Base: s.Base, Sites: s.Sites, MaxPages: s.MaxPages}
	var err error
	switch {
	case s.Folder != "":
		if o.Folder, err = b.folder(s.Folder); err != nil {
			return nil, err
		}
	case len(s.Sites) == 0 && b.config != nil && b.config.Folder != "":
		at := b.config.Folder
		if rest, ok := strings.CutPrefix(at, "~/"); ok {
			home, err := os.UserHomeDir()
			if err != nil {
				return nil, err
			}
			at = filepath.Join(home, rest)
		}
		if o.Folder, err = b.within.Folder(at, mount.ReadOnly); err != nil {
			return nil, err
		}
	case len(s.Sites) == 0:
		return nil, errors.New("there is nothing to index: give a folder or sites")
	}
	rule, err := wall.ParseRule(b.spec.Allow)
	if err != nil {
		return nil, err
	}
	for _, list := range b.hosts {
		also, err := wall.ParseRule(list)
		if err != nil {
			return nil, err
		}
		rule = rule.Meet(also)
	}
	o.Dialer = &wall.Dialer{Rule: rule}
	x, err := index.Open(o)
	if err != nil {
		return nil, err
	}
	return x, nil
}

// grant grants the trained functions. They only read, and only from the hosts
// that the task names and policies leave.
func (b *browse) grant() runtime.Grant {
	manifest := &provenance.Manifest{
		Boundary: provenance.Boundary{Hosts: b.spec.Allow},
		Tools: map[string]provenance.Tool{
			"browser.open":          {Args: map[string]provenance.Class{"id": provenance.URL}},
			"functions.page_type":   {Args: map[string]provenance.Class{"text": provenance.Text}},
			"functions.page_upload": {Args: map[string]provenance.Class{"paths": provenance.Selector}, Irreversible: true},
		},
	}
	return runtime.Grant{
		Namespace: harmony.Browser(),
		BuiltIn:   true,
		About:     b.about(),
		Effect:    func(string) policies.Effect { return policies.Read },
		Manifest:  manifest,
		Open: func(ctx context.Context, p runtime.Place) (tools.Tool, error) {
			o := b.options
			o.Tokens, o.Dir = pieces(p.Encoding), p.Scratch
			if b.spec.HAR {
				o.HAR = filepath.Join(p.Scratch, "network.har")
			}
			var err error
			if o.Search, err = b.searcher(); err != nil {
				return nil, fmt.Errorf("search: %w", err)
			}
			open, err := browser.Open(ctx, o)
			if err != nil {
				return nil, err
			}
			b.open.Store(open)
			return open, nil
		},
	}
}

// actions are the functions by which pages may be acted on; nil for none. They
// share the browser that the trained functions have opened.
func (b *browse) actions() (*functions.Set, error) {
	if len(b.spec.Functions) == 0 {
		return nil, nil
	}
	var all []functions.Function
	for _, f := range browser.PageFunctions() {
		if !slices.Contains(b.spec.Functions, f.Name) {
			continue
		}
		all = append(all, functions.Foreign{
			Name: f.Name, Description: f.Description, Shown: f.Parameters, Checked: f.Parameters, ReadOnly: f.ReadOnly,
			Run: func(ctx context.Context, args json.RawMessage, l tools.Limits) (tools.Result, error) {
				if open := b.open.Load(); open != nil {
					return open.Page(ctx, f.Name, string(args), l)
				}
				return tools.Result{Failed: true, Text: "No page is open yet. Open one with browser.open first."}, nil
			},
		}.Function())
	}
	return functions.New(all...)
}
