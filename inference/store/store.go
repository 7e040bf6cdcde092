// Package store keeps the models that were pulled from a hub:
//
//	<store>/<owner>/<name>/<commit>/           the files, as the repository has them
//	<store>/<owner>/<name>/<commit>/.chorale/  what is known of them
//	    manifest.json    every file with its size and SHA-256; written last
//	    verified.json    when the files were last hashed, and which were wrong
//	    pull.json        what is being pulled; gone when it is done
//	    partial/         files on their way
//	<store>/.locks/<owner>/<name>/<commit>     taken alone to pull and remove, shared to use
//
// A model without a manifest is not complete and cannot be used. Files have mode
// 0600, folders 0700. Names lead nowhere else: all access goes through os.Root, and
// a link in the place of a file is refused.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chorale/inference/hub"
	"chorale/internal/lockfile"
)

// Store is a folder of models.
type Store struct{ dir string }

// Open returns the store in a folder, or for "" in the user's caches. The folder
// need not be there before something is pulled.
func Open(dir string) (*Store, error) {
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find the folder of models (models.dir can name one): %w", err)
		}
		dir = filepath.Join(user, "chorale", "models")
	}
	dir, err := filepath.Abs(dir)
	return &Store{dir}, err
}

// Model is a model on disk, complete or on its way.
type Model struct {
	Manifest
	Dir      string
	Complete bool
	Checked  Checked

	lock string // path of its lock; empty: it lies outside of a store
}

// Ref is how the model is named in a task.
func (m Model) Ref() string { return Ref{Repo: m.Repo}.String() }

// List returns the models of the store by name, the newest of each first. The
// error says which could not be read; the others are good.
func (s *Store) List() ([]Model, error) {
	dirs, err := filepath.Glob(filepath.Join(escape(s.dir), "[^.]*", "[^.]*", "[0-9a-f]*"))
	if err != nil {
		return nil, err
	}
	var out []Model
	var errs []error
	for _, dir := range dirs {
		m, err := readModel(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // not one of ours, or it has just been removed
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m.lock = s.lockPath(m.Repo, m.Commit)
		out = append(out, m)
	}
	slices.SortStableFunc(out, func(a, b Model) int {
		if c := strings.Compare(a.Repo, b.Repo); c != 0 {
			return c
		}
		return b.Pulled.Compare(a.Pulled)
	})
	return out, errors.Join(errs...)
}

// escape takes the meaning from a path that goes into a pattern.
func escape(dir string) string {
	return strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]").Replace(dir)
}

func (s *Store) modelDir(repo, commit string) string {
	return filepath.Join(s.dir, filepath.FromSlash(repo), commit)
}

func (s *Store) lockPath(repo, commit string) string {
	return filepath.Join(s.dir, ".locks", filepath.FromSlash(repo), commit)
}

// ErrNotPulled means that a model is not here, or not all of it.
var ErrNotPulled = errors.New("it has not been pulled")

// Find returns the model that a reference names: of several revisions the one
// that was pulled last. It may be incomplete.
func (s *Store) Find(ref Ref) (Model, error) {
	all, err := s.List()
	if err != nil && len(all) == 0 {
		return Model{}, err
	}
	var found []Model
	for _, m := range all {
		if ref.names(m) {
			found = append(found, m)
		}
	}
	slices.SortStableFunc(found, func(a, b Model) int {
		switch {
		case a.Complete != b.Complete && a.Complete:
			return -1
		case a.Complete != b.Complete:
			return 1
		}
		return b.Pulled.Compare(a.Pulled)
	})
	for _, m := range found[min(1, len(found)):] {
		if m.Repo != found[0].Repo {
			return Model{}, fmt.Errorf("%s is both %s and %s; name the owner as well", ref, found[0].Repo, m.Repo)
		}
	}
	if len(found) == 0 {
		return Model{}, fmt.Errorf("%s: %w; get it with: agent model pull %s", ref, ErrNotPulled, ref.pullable())
	}
	return found[0], nil
}

// Lease is a model that is in use: nobody removes it before Close.
type Lease struct {
	Path   string // of the checkpoint, for inference.Open
	Digest string // of what is read of it; see Digest
	lock   *lockfile.Lock
}

// Close gives the model back.
func (l *Lease) Close() error {
	if l.lock == nil {
		return nil
	}
	return l.lock.Close()
}

// Use takes a pulled model for reading. That its files are there with their sizes
// is checked; their content was when they were pulled, and is by Verify.
func (s *Store) Use(ref Ref) (_ *Lease, err error) {
	m, err := s.Find(ref)
	if err != nil {
		return nil, err
	}
	lock, err := m.share()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && lock != nil {
			lock.Close()
		}
	}()
	if m, err = s.Find(ref); err != nil { // as it is under the lock
		return nil, err
	}
	if err := m.usable(); err != nil {
		return nil, err
	}
	v, err := m.variant(ref.Path)
	if err != nil {
		return nil, err
	}
	return &Lease{filepath.Join(m.Dir, filepath.FromSlash(v.Path)), Digest(v.files), lock}, nil
}

// usable says what is wrong with a model, as far as it can be seen at once.
func (m Model) usable() error {
	again := "; fetch what is missing with: agent model pull " + m.PullRef()
	switch {
	case !m.Complete:
		return fmt.Errorf("%s: %w to the end%s", m.Ref(), ErrNotPulled, again)
	case len(m.Checked.Bad) > 0:
		return fmt.Errorf("%s: %s was found damaged%s", m.Ref(), m.Checked.Bad[0], again)
	}
	root, err := os.OpenRoot(m.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range m.Files {
		if p := f.look(root); p != "" {
			return fmt.Errorf("%s: %s %s%s", m.Ref(), f.Path, p, again)
		}
	}
	return nil
}

// PullRef names the model so that a pull meets it again.
func (m Model) PullRef() string {
	if m.lock == "" {
		return fmt.Sprintf("%s@%s --to %s", m.Repo, m.Commit, m.Dir)
	}
	return m.Repo + "@" + m.Commit
}

// share takes the model's lock with others. A store that may only be read has
// no lock where nobody made one: nobody can remove anything from it either.
func (m Model) share() (*lockfile.Lock, error) {
	if m.lock == "" {
		return nil, nil
	}
	l, err := lockfile.Shared(m.lock)
	switch {
	case errors.Is(err, lockfile.ErrHeld):
		return nil, fmt.Errorf("%s is being pulled or removed by another process; wait for it", m.Ref())
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	}
	return l, err
}

// alone takes the lock of a model or folder; waiting is called if it has to wait.
func alone(ctx context.Context, lock string, waiting func()) (*lockfile.Lock, error) {
	if err := os.MkdirAll(filepath.Dir(lock), 0o700); err != nil {
		return nil, err
	}
	return lockfile.Wait(ctx, lock, waiting)
}

// ErrInUse means that a model cannot be removed now.
var ErrInUse = errors.New("another process uses it")

// Remove deletes a model that nobody uses.
func (s *Store) Remove(m Model) error {
	if m.lock == "" {
		return fmt.Errorf("remove %s: it is not in the store; delete the folder yourself", m.Dir)
	}
	if err := os.MkdirAll(filepath.Dir(m.lock), 0o700); err != nil {
		return fmt.Errorf("remove %s: %w", m.Ref(), err)
	}
	lock, err := lockfile.Exclusive(m.lock)
	if errors.Is(err, lockfile.ErrHeld) {
		return fmt.Errorf("remove %s: %w", m.Ref(), ErrInUse)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", m.Ref(), err)
	}
	defer lock.Close()
	// Without its manifest it is no model any more, should we not get further.
	err = os.Remove(filepath.Join(m.Dir, hub.Reserved, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = os.RemoveAll(m.Dir)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", m.Ref(), err)
	}
	for dir := filepath.Dir(m.Dir); dir != s.dir && os.Remove(dir) == nil; dir = filepath.Dir(dir) {
		// folders that this leaves empty
	}
	return nil
}
