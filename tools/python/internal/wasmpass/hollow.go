package wasmpass

import "fmt"

// Hollow returns the module with empty functions: each body traps. It has the
// same types, imports, exports and data, and is read and validated in no time.
// An engine that keeps native code apart from the module can run the original's
// code under it, and need not read the original again.
func Hollow(module []byte) ([]byte, error) {
	o, err := read(module)
	if err == nil {
		err = o.rewriteCode(func(out []byte, _ uint32, _ []byte) ([]byte, error) {
			return append(out, 0, opUnreachable, opEnd), nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("hollow module: %w", err)
	}
	return join(o.secs), nil
}
