package main

import (
	"errors"
	"syscall"
)

// gone reports whether nobody reads any more what is written.
func gone(err error) bool {
	const noData = syscall.Errno(232) // ERROR_NO_DATA: the pipe is being closed
	return errors.Is(err, syscall.ERROR_BROKEN_PIPE) || errors.Is(err, noData)
}
