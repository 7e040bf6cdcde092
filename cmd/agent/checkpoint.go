package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"chorale/configs"
	"chorale/inference"
	"chorale/inference/pocket"
	"chorale/inference/store"
)

// checkpoint is where a model lies, kept from being removed while it is in use.
type checkpoint struct {
	path   string // for inference
	name   string // for people, where the path does not say it
	digest string // of its files; empty: not known
	lease  *store.Lease
}

// Close gives the model back.
func (c checkpoint) Close() error {
	if c.lease == nil {
		return nil
	}
	return c.lease.Close()
}

// findModel finds the model that a reference names: the embedded one, one that
// lies at a path, or a pulled one.
func findModel(ctx context.Context, ref string, models configs.Models) (checkpoint, error) {
	switch {
	case ref == "" || ref == inference.Pocket:
		return checkpoint{path: inference.Pocket, digest: store.DigestOf(pocket.Files())}, nil
	case strings.HasPrefix(ref, inference.Synthetic):
		return checkpoint{path: ref}, nil
	case isPath(ref):
		digest, err := store.DigestAt(ctx, ref)
		if os.IsNotExist(err) {
			err = nil // inference says what it would take
		}
		return checkpoint{path: ref, digest: digest}, err
	}
	r, err := store.ParseRef(ref)
	if err != nil {
		return checkpoint{path: ref}, nil // as above
	}
	s, err := store.Open(models.Dir)
	if err != nil {
		return checkpoint{}, err
	}
	lease, err := s.Use(r)
	if err != nil {
		return checkpoint{}, err
	}
	return checkpoint{lease.Path, r.String(), lease.Digest, lease}, nil
}

// isPath reports whether a reference is a path: something lies there, or it is
// written as one.
func isPath(ref string) bool {
	if filepath.IsAbs(ref) || strings.HasPrefix(ref, ".") {
		return true
	}
	_, err := os.Stat(ref)
	return err == nil
}
