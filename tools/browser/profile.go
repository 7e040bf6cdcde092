package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"chorale/internal/atomicfile"
	"chorale/internal/lockfile"
	"chorale/tools/browser/internal/chrome"
)

// profile is what lasts of a browser from run to run. It lies in one file, which
// one browser uses at a time.
type profile struct {
	dir   string
	lock  *lockfile.Lock
	state profileState
	saved []byte
}

type profileState struct {
	Cookies []chrome.Cookie              `json:"cookies"`
	Storage map[string]map[string]string `json:"storage"` // localStorage by origin
}

const (
	maxProfile = 32 << 20
	maxOrigin  = 5 << 20 // as much as browsers keep of one
)

// openProfile makes or reads a profile, and locks it.
func openProfile(dir string) (*profile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil { // it may have been there
		return nil, err
	}
	lock, err := lockfile.Exclusive(filepath.Join(dir, "lock"))
	if errors.Is(err, lockfile.ErrHeld) {
		return nil, fmt.Errorf("the profile %s is in use by another run; wait for its end, or use another profile", dir)
	}
	if err != nil {
		return nil, err
	}
	p := &profile{dir: dir, lock: lock, state: profileState{Storage: map[string]map[string]string{}}}
	if err := p.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("the profile %s can not be read: %w", dir, err), lock.Close())
	}
	return p, nil
}

func (p *profile) file() string { return filepath.Join(p.dir, "state.json") }

func (p *profile) read() error {
	info, err := os.Stat(p.file())
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Size() > maxProfile:
		return fmt.Errorf("%s is larger than %d MiB", p.file(), maxProfile>>20)
	}
	if p.saved, err = os.ReadFile(p.file()); err != nil {
		return err
	}
	if err := json.Unmarshal(p.saved, &p.state); err != nil {
		return fmt.Errorf("%s: %w", p.file(), err)
	}
	if p.state.Storage == nil {
		p.state.Storage = map[string]map[string]string{}
	}
	return nil
}

// keep takes over the storage of an origin.
func (p *profile) keep(s chrome.Storage) {
	size := 0
	for k, v := range s.Items {
		size += len(k) + len(v)
	}
	switch {
	case s.Origin == "" || size > maxOrigin:
	case len(s.Items) == 0:
		delete(p.state.Storage, s.Origin)
	default:
		p.state.Storage[s.Origin] = s.Items
	}
}

// save writes what has changed.
func (p *profile) save() error {
	b, err := json.Marshal(p.state)
	if err != nil || bytes.Equal(b, p.saved) {
		return err
	}
	if len(b) > maxProfile {
		return fmt.Errorf("the profile %s would be larger than %d MiB", p.dir, maxProfile>>20)
	}
	if err := atomicfile.Write(p.file(), b, 0o600); err != nil {
		return err
	}
	p.saved = b
	return nil
}

// restore gives a new browser what the profile holds: of the storage, what pages
// of this run can reach.
func (w *web) restore(ctx context.Context) error {
	if w.profile == nil {
		return nil
	}
	if err := w.chromium.SetCookies(ctx, w.profile.state.Cookies); err != nil {
		return fmt.Errorf("give the browser the profile %s: %w", w.profile.dir, err)
	}
	var all []chrome.Storage
	for origin, items := range w.profile.state.Storage {
		if u, err := url.Parse(origin); err == nil && w.rule.CheckURL(u) == nil {
			all = append(all, chrome.Storage{Origin: origin, Items: items})
		}
	}
	if err := w.chromium.SetStorage(ctx, all); err != nil {
		return fmt.Errorf("give the browser the profile %s: %w", w.profile.dir, err)
	}
	return nil
}

// remember keeps what a page has left behind.
func (w *web) remember(ctx context.Context, s chrome.Storage) error {
	if w.profile == nil {
		return nil
	}
	cookies, err := w.chromium.Cookies(ctx)
	if err != nil {
		return nil // a browser that is gone has nothing to add
	}
	w.profile.state.Cookies = cookies
	w.profile.keep(s)
	if err := w.profile.save(); err != nil {
		return fatalError{fmt.Errorf("keep the profile: %w", err)}
	}
	return nil
}
