package linear

import "golang.org/x/sys/unix"

// noReserve keeps the reserved range out of the system's commit charge.
const noReserve = unix.MAP_NORESERVE
