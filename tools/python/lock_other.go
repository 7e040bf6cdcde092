//go:build !unix

package python

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// lock creates the lock file, which only one process can, and removes it at
// the end. A process that dies leaves it: after ten minutes it counts as left.
func lock(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	for told := false; ; {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			return func() { f.Close(); os.Remove(path) }, nil
		}
		if !errors.Is(err, os.ErrExist) {
			return nil, err
		}
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > 10*time.Minute {
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("remove a lock that was left: %w", err)
			}
			continue
		}
		if !told {
			told = true
			waiting()
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
