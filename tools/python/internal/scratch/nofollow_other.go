//go:build !unix

package scratch

// noFollow is nothing here: os.Root alone keeps links from leading out.
const noFollow = 0
