package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"chorale/inference/hub"
)

// PullOptions say what is pulled, and where to.
type PullOptions struct {
	Repo     string // owner/name
	Revision string // branch, tag or commit
	Selection
	To   string          // a folder of its own; empty: the store
	Tell func(hub.Event) // what happens, one at a time; besides the hub's events those below
}

// Planned says what a pull consists of.
type Planned struct {
	Repo, Commit, Dir string
	Files             []hub.File
}

// Waiting says that another process holds the model.
type Waiting struct{ Repo string }

// Done says that a file is in its place and is what it should be.
type Done struct {
	Path string
	How  string // fetched, linked from another revision, kept
}

// The ways in which a file can have come to its place.
const (
	Fetched = "fetched"
	Linked  = "linked"
	Kept    = "kept"
)

// About implements hub.Event.
func (e Planned) About() string { return e.Repo }

// About implements hub.Event.
func (e Waiting) About() string { return e.Repo }

// About implements hub.Event.
func (e Done) About() string { return e.Path }

// files at once; their parts share the hub's connections.
const atOnce = 3

// Pull brings a model here. Files that are here already are kept, and what an
// earlier pull left is gone on with. Two processes may pull the same model: one
// waits for the other.
func (s *Store) Pull(ctx context.Context, c *hub.Client, o PullOptions) (Model, error) {
	var mu sync.Mutex
	tell := func(e hub.Event) {
		mu.Lock()
		defer mu.Unlock()
		o.Tell(e)
	}
	rev, err := c.Revision(ctx, o.Repo, o.Revision, tell)
	if err != nil {
		return Model{}, err
	}
	files, err := o.Choose(rev.Files)
	if err != nil {
		return Model{}, fmt.Errorf("%s: %w", o.Repo, err)
	}
	p := &pull{store: s, client: c, rev: rev, files: files, own: o.To != "", tell: tell}
	for i := range files {
		if files[i], err = c.Describe(ctx, rev, files[i], tell); err != nil {
			return Model{}, err
		}
	}
	p.dir, p.lock = s.modelDir(rev.Repo, rev.Commit), s.lockPath(rev.Repo, rev.Commit)
	if p.own {
		if p.dir, err = filepath.Abs(o.To); err != nil {
			return Model{}, err
		}
		p.lock = filepath.Join(p.dir, hub.Reserved, lockFile)
	}
	m, err := p.run(ctx, o.Revision)
	if err != nil {
		return Model{}, fmt.Errorf("pull %s: %w", o.Repo, err)
	}
	return m, nil
}

// pull is a model on its way into a folder.
type pull struct {
	store  *Store
	client *hub.Client
	rev    hub.Revision
	files  []hub.File
	own    bool // the folder is the user's, not the store's
	dir    string
	lock   string
	tell   func(hub.Event)

	root *os.Root
	was  Model // what is known of the folder
}

func (p *pull) run(ctx context.Context, revision string) (Model, error) {
	p.tell(Planned{p.rev.Repo, p.rev.Commit, p.dir, p.files})
	if m, ok := p.here(revision); ok {
		return m, nil
	}
	if err := os.MkdirAll(filepath.Join(p.dir, hub.Reserved), 0o700); err != nil {
		return Model{}, fmt.Errorf("%w (models.dir can name another folder)", err)
	}
	lock, err := alone(ctx, p.lock, func() { p.tell(Waiting{p.rev.Repo}) })
	if err != nil {
		return Model{}, err
	}
	defer lock.Close()
	// Whoever held the lock may have removed the folder.
	if err := os.MkdirAll(filepath.Join(p.dir, hub.Reserved), 0o700); err != nil {
		return Model{}, err
	}
	if p.root, err = os.OpenRoot(p.dir); err != nil {
		return Model{}, err
	}
	defer p.root.Close()
	if err := p.look(); err != nil {
		return Model{}, err
	}
	m := Manifest{
		Version: manifestVersion, Hub: p.client.Host(), Repo: p.rev.Repo, Commit: p.rev.Commit,
		Revisions: p.was.Revisions, Pulled: time.Now().UTC().Truncate(time.Second),
	}
	if !m.hasRevision(revision) {
		m.Revisions = append(slices.Clone(m.Revisions), revision)
	}
	if err := p.begin(m); err != nil {
		return Model{}, err
	}
	if m.Files, err = p.all(ctx); err != nil {
		return Model{}, err
	}
	return p.finish(m)
}

// here reports whether nothing is to be done. It needs no lock: a model that
// somebody uses can be pulled again.
func (p *pull) here(revision string) (Model, bool) {
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return Model{}, false
	}
	defer root.Close()
	p.root = root
	if p.look() != nil || !p.was.hasRevision(revision) {
		return Model{}, false
	}
	for _, f := range p.files {
		if _, ok := p.trusted(f); !ok {
			return Model{}, false
		}
	}
	for _, f := range p.files {
		p.tell(Done{f.Path, Kept})
	}
	return p.was, true
}

// trusted returns what the manifest says of a file that is there as it should be.
func (p *pull) trusted(f hub.File) (File, bool) {
	known, ok := p.was.file(f.Path)
	return known, ok && p.was.Complete && known.look(p.root) == "" && !slices.Contains(p.was.Checked.Bad, f.Path) &&
		known.Size == f.Size && (f.Digest.SHA256 == "" || known.SHA256 == f.Digest.SHA256)
}

// look reads what is known of the folder. A user's folder is not mixed with
// another model.
func (p *pull) look() error {
	m, err := readModel(p.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && (m.Repo != p.rev.Repo || m.Commit != p.rev.Commit) {
		return fmt.Errorf("%s holds %s at %.12s; choose an empty folder", p.dir, m.Repo, m.Commit)
	}
	if !p.own {
		m.lock = p.lock
	}
	p.was = m
	return nil
}

// begin notes what is wanted, so that an interrupted pull is known as such, and
// sees that the disk has room for it.
func (p *pull) begin(m Manifest) error {
	need := int64(0)
	for _, f := range p.files {
		m.Files = append(m.Files, File{Path: f.Path, Size: f.Size})
		if st, err := p.root.Lstat(filepath.FromSlash(f.Path)); err != nil || st.Size() != f.Size {
			need += f.Size - hub.Pending(p.root, partials, f)
		}
	}
	if free, ok := space(p.dir); ok && free < need {
		return fmt.Errorf("%s to fetch and %s free in %s: make room for %s, or let models.dir or --to name another disk", inGB(need), inGB(free), p.dir, inGB(need-free))
	}
	if err := p.root.MkdirAll(partials, 0o700); err != nil {
		return err
	}
	return writeJSON(p.root, pullFile, m)
}

func inGB(n int64) string { return fmt.Sprintf("%.1f GB", float64(n)/1e9) }

var partials = path.Join(hub.Reserved, partialDir)

// all brings the files, a few at a time. The first error ends it.
func (p *pull) all(ctx context.Context) ([]File, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	out := make([]File, len(p.files))
	for i, f := range p.files {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() {
			defer func() { <-slots }()
			var err error
			if out[i], err = p.one(ctx, f); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	return out, context.Cause(ctx)
}

// one brings a file to its place: the one that is there, one of another model, or
// the hub's.
func (p *pull) one(ctx context.Context, f hub.File) (File, error) {
	out := File{Path: f.Path, Size: f.Size}
	if known, ok := p.trusted(f); ok {
		p.tell(Done{f.Path, Kept})
		return known, nil
	}
	sum, err := p.check(ctx, f, f.Path)
	switch {
	case err == nil:
		out.SHA256 = sum
		p.tell(Done{f.Path, Kept})
		return out, nil
	case ctx.Err() != nil:
		return File{}, context.Cause(ctx)
	case p.own && !p.wasListed(f) && !errors.Is(err, fs.ErrNotExist):
		return File{}, fmt.Errorf("%s is there and is not the hub's: %w; choose an empty folder", filepath.Join(p.dir, filepath.FromSlash(f.Path)), err)
	}
	how := Linked
	name, sum, err := p.link(ctx, f)
	if err != nil {
		return File{}, err
	}
	if name == "" {
		how = Fetched
		if name, sum, err = p.client.Fetch(ctx, p.rev, f, p.root, partials, p.tell); err != nil {
			return File{}, err
		}
	}
	out.SHA256 = sum
	if err := p.place(name, f.Path); err != nil {
		return File{}, err
	}
	p.tell(Done{f.Path, how})
	return out, nil
}

// wasListed reports whether an earlier pull put the file there, or meant to.
func (p *pull) wasListed(f hub.File) bool {
	_, ok := p.was.file(f.Path)
	return ok
}

// check hashes a file of the folder and compares it with what the hub lists.
func (p *pull) check(ctx context.Context, f hub.File, name string) (string, error) {
	name = filepath.FromSlash(name)
	st, err := p.root.Lstat(name)
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", errors.New("it is not a regular file")
	}
	if st.Size() != f.Size {
		return "", fmt.Errorf("it has %d bytes, want %d", st.Size(), f.Size)
	}
	r, err := p.root.Open(name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	return hub.Sum(ctx, r, f.Size, f.Digest, func(done int64) { p.tell(hub.Checking{Path: f.Path, Done: done}) })
}

// link takes the file from another model of the store that has the same content,
// as another revision mostly does of its weights. The name is empty if none has.
func (p *pull) link(ctx context.Context, f hub.File) (name, sum string, err error) {
	if p.own || f.Digest.SHA256 == "" {
		return "", "", nil
	}
	models, _ := p.store.List() // what cannot be read has nothing to offer
	for _, m := range models {
		for _, g := range m.Files {
			if !m.Complete || m.Dir == p.dir || g.SHA256 != f.Digest.SHA256 {
				continue
			}
			name = path.Join(partials, "link-"+f.Digest.SHA256)
			if err := p.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", "", err
			}
			if os.Link(filepath.Join(m.Dir, filepath.FromSlash(g.Path)), filepath.Join(p.dir, filepath.FromSlash(name))) != nil {
				continue
			}
			if sum, err = p.check(ctx, f, name); err == nil || ctx.Err() != nil {
				return name, sum, err
			}
		}
	}
	return "", "", nil
}

// place moves a complete file to where it belongs.
func (p *pull) place(name, to string) error {
	to = filepath.FromSlash(to)
	if err := p.root.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return p.root.Rename(name, to)
}

// finish writes the manifest: now the model is complete.
func (p *pull) finish(m Manifest) (Model, error) {
	if p.was.Complete {
		for _, f := range p.was.Files { // pulled before, and not asked for this time
			if _, ok := m.file(f.Path); !ok {
				m.Files = append(m.Files, f)
			}
		}
	}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	if err := writeJSON(p.root, manifestFile, m); err != nil {
		return Model{}, err
	}
	out := Model{Manifest: m, Dir: p.dir, Complete: true}
	if !p.own {
		out.lock = p.lock
	}
	out.Checked = Checked{Digest: Digest(m.Files), At: m.Pulled}
	err := errors.Join(
		writeJSON(p.root, verifiedFile, out.Checked),
		p.root.RemoveAll(partials),
		p.root.Remove(path.Join(hub.Reserved, pullFile)),
	)
	return out, err
}
