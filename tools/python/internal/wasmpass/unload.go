package wasmpass

import "fmt"

// Unload returns the module with its active data segments made passive, and a
// new export of the given name that writes them to memory. An instance begins
// with a memory of zeros; who calls the export first of all has the original.
// The segments must be for the first memory.
func Unload(module []byte, export string) ([]byte, error) {
	o, err := read(module)
	if err == nil {
		err = o.unload(export)
	}
	if err != nil {
		return nil, fmt.Errorf("unload memory: %w", err)
	}
	return join(o.secs), nil
}

func (o *outline) unload(export string) error {
	old := o.secs[secData]
	r := reader{b: old}
	n := r.count()
	data, body := appendU32(make([]byte, 0, len(old)), n), []byte{0} // no locals
	for i := uint32(0); i < n && r.err == nil; i++ {
		kind := r.u32()
		if kind > 1 {
			return fmt.Errorf("data segment %d is for another memory", i)
		}
		var offset []byte
		if kind == 0 {
			from := r.pos
			if err := r.expression(); err != nil {
				return err
			}
			offset = old[from : r.pos-1]
		}
		bytes := r.bytes(r.u32())
		data = append(appendU32(append(data, 1), uint32(len(bytes))), bytes...)
		if kind == 0 {
			body = append(append(body, offset...), opI32Const, 0)
			body = appendS32(append(body, opI32Const), int32(len(bytes)))
			body = appendU32(append(body, opBulk, memoryInit), i)
			body = append(body, 0) // the memory
		}
	}
	if err := r.end("data section"); err != nil {
		return err
	}
	if n > 0 {
		o.secs[secData], o.secs[secDataCount] = data, appendU32(nil, n)
	}
	count, rest, err := countOf(o.secs[secExport], "export section")
	if err != nil {
		return err
	}
	load := o.addFunction(funcType{})
	exports := append(appendU32(nil, count+1), rest...)
	exports = append(appendU32(exports, uint32(len(export))), export...)
	o.secs[secExport] = appendU32(append(exports, 0), load)
	return o.rewriteCode(func(out []byte, _ uint32, body []byte) ([]byte, error) {
		return append(out, body...), nil
	}, append(body, opEnd))
}

// expression passes over a constant expression and its end.
func (r *reader) expression() error {
	for r.err == nil {
		op := r.byte()
		if op == opEnd {
			break
		}
		if err := r.immediates(op); err != nil {
			return err
		}
	}
	return r.err
}
