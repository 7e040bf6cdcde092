package wasmpass

import (
	"errors"
	"fmt"
	"slices"
)

// outline is what the passes know of a module beside its code: its types, and
// what stands in each index space.
type outline struct {
	secs      sections
	types     []funcType
	imports   []funcImport // imported functions, in the order of their indices
	globals   uint32       // imported globals
	tags      uint32       // imported tags
	memories  uint32       // imported memories
	functions []uint32     // type of each function, imported ones first
}

// funcType is a function's type: one byte for each value.
type funcType struct{ params, results []byte }

func (t funcType) equal(u funcType) bool {
	return slices.Equal(t.params, u.params) && slices.Equal(t.results, u.results)
}

type funcImport struct {
	module, name string
	typ          uint32
}

func read(module []byte) (*outline, error) {
	secs, err := split(module)
	if err != nil {
		return nil, err
	}
	o := &outline{secs: secs}
	for _, step := range []func() error{o.readTypes, o.readImports, o.readFunctions} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (o *outline) readTypes() error {
	r := reader{b: o.secs[secType]}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		if form := r.byte(); form != formFunc && r.err == nil {
			return fmt.Errorf("type %d: form 0x%02x is not a function's", len(o.types), form)
		}
		t := funcType{r.bytes(r.u32()), r.bytes(r.u32())}
		for _, values := range [][]byte{t.params, t.results} {
			if slices.ContainsFunc(values, func(v byte) bool { return v == 0x63 || v == 0x64 }) {
				return fmt.Errorf("type %d has typed references", len(o.types))
			}
		}
		o.types = append(o.types, t)
	}
	return r.end("type section")
}

func (o *outline) readImports() error {
	r := reader{b: o.secs[secImport]}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		module, name := r.name(), r.name()
		switch kind := r.byte(); kind {
		case 0: // function
			typ := r.u32()
			if r.err == nil && int(typ) >= len(o.types) {
				return fmt.Errorf("import %s.%s: type %d of %d", module, name, typ, len(o.types))
			}
			o.imports = append(o.imports, funcImport{module, name, typ})
			o.functions = append(o.functions, typ)
		case 1: // table
			r.byte()
			r.limits()
		case 2: // memory
			r.limits()
			o.memories++
		case 3: // global
			r.byte()
			r.byte()
			o.globals++
		case 4: // tag
			r.byte()
			r.u32()
			o.tags++
		default:
			if r.err == nil {
				return fmt.Errorf("import %s.%s: unknown kind %d", module, name, kind)
			}
		}
	}
	return r.end("import section")
}

func (o *outline) readFunctions() error {
	r := reader{b: o.secs[secFunction]}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		typ := r.u32()
		if r.err == nil && int(typ) >= len(o.types) {
			return fmt.Errorf("function %d: type %d of %d", len(o.functions), typ, len(o.types))
		}
		o.functions = append(o.functions, typ)
	}
	return r.end("function section")
}

// typeOf returns the index of the type, which it adds where there is none.
func (o *outline) typeOf(t funcType) uint32 {
	if i := slices.IndexFunc(o.types, t.equal); i >= 0 {
		return uint32(i)
	}
	o.types = append(o.types, t)
	o.encodeTypes()
	return uint32(len(o.types) - 1)
}

func (o *outline) encodeTypes() {
	content := appendU32(nil, uint32(len(o.types)))
	for _, t := range o.types {
		content = append(content, formFunc)
		content = append(appendU32(content, uint32(len(t.params))), t.params...)
		content = append(appendU32(content, uint32(len(t.results))), t.results...)
	}
	o.secs[secType] = content
}

// addFunction declares one more function and returns its index. Its body is
// the next that is added to the code.
func (o *outline) addFunction(t funcType) uint32 {
	typ := o.typeOf(t)
	o.functions = append(o.functions, typ)
	content := appendU32(nil, uint32(len(o.functions)-len(o.imports)))
	for _, typ := range o.functions[len(o.imports):] {
		content = appendU32(content, typ)
	}
	o.secs[secFunction] = content
	return uint32(len(o.functions) - 1)
}

// addGlobal appends a mutable i32 and returns its index.
func (o *outline) addGlobal(value int32) (uint32, error) {
	n, rest, err := countOf(o.secs[secGlobal], "global section")
	if err != nil {
		return 0, err
	}
	out := append(appendU32(nil, n+1), rest...)
	out = append(out, typeI32, mutable)
	out = append(appendS32(append(out, opI32Const), value), opEnd)
	o.secs[secGlobal] = out
	return o.globals + n, nil
}

// eachBody calls f with the index and the content of the first own function
// bodies, which must be all that the code section has.
func (o *outline) eachBody(own int, f func(index uint32, body []byte) error) error {
	r := reader{b: o.secs[secCode]}
	n := r.count()
	if int(n) != own {
		return fmt.Errorf("code section has %d bodies for %d functions", n, own)
	}
	for i := range n {
		index := uint32(len(o.imports)) + i
		body := r.bytes(r.u32())
		err := r.err
		if err == nil {
			err = f(index, body)
		}
		if err != nil {
			return fmt.Errorf("function %d: %w", index, err)
		}
	}
	return r.end("code section")
}

// rewriteCode replaces every body by what f appends to its first argument, and
// puts the bodies of the functions behind them that were added last.
func (o *outline) rewriteCode(f func(out []byte, index uint32, body []byte) ([]byte, error), added ...[]byte) error {
	old := o.secs[secCode]
	own := len(o.functions) - len(o.imports) - len(added)
	out := make([]byte, 0, len(old)+len(old)/16)
	out = appendU32(out, uint32(own+len(added)))
	var rewritten []byte
	err := o.eachBody(own, func(index uint32, body []byte) (err error) {
		if rewritten, err = f(rewritten[:0], index, body); err == nil {
			out = append(appendU32(out, uint32(len(rewritten))), rewritten...)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, body := range added {
		out = append(appendU32(out, uint32(len(body))), body...)
	}
	o.secs[secCode] = out
	return nil
}

// skipLocals passes over a body's locals: runs of a count and a type.
func (r *reader) skipLocals() {
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		r.u32()
		r.valueType()
	}
}

var errNoEnd = errors.New("body does not end with end")

// endsWell reports whether a body that was read through is complete.
func (r *reader) endsWell() error {
	if r.err != nil {
		return r.err
	}
	if len(r.b) == 0 || r.b[len(r.b)-1] != opEnd {
		return errNoEnd
	}
	return nil
}
