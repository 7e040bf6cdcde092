//go:build !unix && !windows

package weights

import "errors"

// errNoMap is the error of systems without mappings. Reading a checkpoint whole
// would take its size twice; it is refused.
var errNoMap = errors.New("files cannot be mapped on this system")

type mapping struct{ data []byte }

func mapFile(string) (*mapping, error) { return nil, errNoMap }
func reserve(int) (*mapping, error)    { return nil, errNoMap }
func commit([]byte) error              { return errNoMap }

func (m *mapping) bytes() []byte           { return m.data }
func (m *mapping) copy(dst []byte, lo int) { copy(dst, m.data[lo:]) }
func (m *mapping) load(int) error          { return nil }
func (m *mapping) release(lo, hi int)      {}
func (m *mapping) Close() error            { return nil }
