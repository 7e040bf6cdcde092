package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"chorale/inference/hub"
)

// Verify hashes all files of a model again and says what is wrong with each. What
// it finds is kept: a damaged model is not used, and a pull fetches what is wrong.
func (m Model) Verify(ctx context.Context, tell func(hub.Event)) (map[string]string, error) {
	if !m.Complete {
		return nil, fmt.Errorf("verify %s: it has not been pulled to the end; go on with: agent model pull %s", m.Ref(), m.PullRef())
	}
	wrong, err := m.verify(ctx, tell)
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", m.Ref(), err)
	}
	return wrong, nil
}

func (m Model) verify(ctx context.Context, tell func(hub.Event)) (map[string]string, error) {
	lock, err := m.share()
	if err != nil {
		return nil, err
	}
	if lock != nil {
		defer lock.Close()
	}
	root, err := os.OpenRoot(m.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	p := &pull{root: root, tell: tell}
	wrong := map[string]string{}
	found := Checked{Digest: Digest(m.Files), At: time.Now().UTC().Truncate(time.Second)}
	for _, f := range m.Files {
		said := f.look(root)
		if said == "" {
			if _, err := p.check(ctx, hub.File{Path: f.Path, Size: f.Size, Digest: hub.Digest{SHA256: f.SHA256}}, f.Path); err != nil {
				said = err.Error()
			}
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if said != "" {
			wrong[f.Path] = said
			found.Bad = append(found.Bad, f.Path)
			continue
		}
		tell(Done{f.Path, Kept})
	}
	if err := writeJSON(root, verifiedFile, found); err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
		return wrong, err // but a store that may only be read stays as it is
	}
	return wrong, nil
}
