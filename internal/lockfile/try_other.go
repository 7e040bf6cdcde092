//go:build !unix && !windows

package lockfile

import (
	"errors"
	"os"
)

func try(*os.File, bool) error { return errors.ErrUnsupported }
