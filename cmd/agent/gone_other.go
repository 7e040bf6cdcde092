//go:build !windows

package main

import (
	"errors"
	"syscall"
)

// gone reports whether nobody reads any more what is written.
func gone(err error) bool { return errors.Is(err, syscall.EPIPE) }
