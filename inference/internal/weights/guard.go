package weights

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// ErrFault is the error of reading a mapped file that cannot be read there.
var ErrFault = errors.New("the weights cannot be read any more: their file was truncated, or its disk failed, while it was open")

// Guard runs f, which reads tensors, and returns its error. Where the file
// behind a mapping ends early or its disk fails, reading it is a fault that
// would end the process; here it is ErrFault. It covers f's own goroutine and Go
// code, not what f starts.
func Guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		fault, ok := r.(interface {
			runtime.Error
			Addr() uintptr
		})
		if !ok {
			panic(r)
		}
		err = fmt.Errorf("%w (address %#x)", ErrFault, fault.Addr())
	}()
	return f()
}
