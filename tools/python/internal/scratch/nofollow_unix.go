//go:build unix

package scratch

import "syscall"

// noFollow makes the host refuse a link that appears after the lookup, also
// one that stays in the folder.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
