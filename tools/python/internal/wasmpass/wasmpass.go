// Package wasmpass rewrites a WebAssembly module so that its loops can be
// interrupted. Each loop header counts a budget down; when it is spent, the
// module calls a function that it already imports, and the host may look at a
// deadline, let the Go scheduler run, or end the call by panicking.
//
// Without this a loop in compiled WebAssembly is out of the Go runtime's
// reach: it can't be preempted, so even a garbage collection waits for it.
// wazero's own answer, WithCloseOnContextDone, calls into Go on every turn of
// every loop, which makes an interpreter about three times slower.
//
// Custom sections (names, debug information) are dropped. No index of the
// module moves: what is added goes to the end of its index space. The pass
// reads what it must and trusts nothing, but it does not validate: whoever
// compiles the result does that.
package wasmpass

import (
	"errors"
	"fmt"
)

// Version goes into the keys of whatever is derived from a rewritten module.
// Raise it with every change of the output.
const Version = "1"

// Config says how a module is metered. The zero value is refused.
type Config struct {
	Budget uint32 // loop turns between two calls of the host
	Module string // the imported function to call: its module ...
	Name   string // ... and its name; no parameters, at most one result
}

// Meter returns the module with its loops metered.
func Meter(module []byte, c Config) ([]byte, error) {
	if c.Budget == 0 || c.Budget > 1<<31-1 {
		return nil, fmt.Errorf("meter module: budget %d is not in 1 to 2^31-1", c.Budget)
	}
	secs, err := split(module)
	if err != nil {
		return nil, fmt.Errorf("meter module: %w", err)
	}
	m := meter{Config: c, secs: secs}
	if err := m.rewrite(); err != nil {
		return nil, fmt.Errorf("meter module: %w", err)
	}
	return join(m.secs), nil
}

// meter holds what the steps of one rewrite learn from each other.
type meter struct {
	Config
	secs     sections
	types    []funcType
	yield    uint32   // function index of the import
	result   bool     // whether it leaves a result to drop
	imported struct { // how many of each are imported: the first own index
		funcs, globals uint32
	}
	tick   uint32 // function index of the function that refills and calls
	budget uint32 // global index
}

func (m *meter) rewrite() error {
	for _, step := range []func() error{m.readTypes, m.readImports, m.addGlobal, m.addFunction, m.rewriteCode} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// funcType is what the pass must know of a type: whether it takes and gives
// nothing, or one result.
type funcType struct{ params, results uint32 }

func (m *meter) readTypes() error {
	r := reader{b: m.secs[secType]}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		if form := r.byte(); form != 0x60 && r.err == nil {
			return fmt.Errorf("type %d: form 0x%02x is not a function's", len(m.types), form)
		}
		var t funcType
		t.params = r.vec(1)
		t.results = r.vec(1)
		m.types = append(m.types, t)
	}
	return r.end("type section")
}

func (m *meter) readImports() error {
	r := reader{b: m.secs[secImport]}
	found := false
	for n := r.count(); n > 0 && r.err == nil; n-- {
		module, name := r.name(), r.name()
		switch kind := r.byte(); kind {
		case 0: // function
			typ := r.u32()
			if module == m.Module && name == m.Name && !found {
				if int(typ) >= len(m.types) {
					return fmt.Errorf("import %s.%s: type %d of %d", module, name, typ, len(m.types))
				}
				t := m.types[typ]
				if t.params != 0 || t.results > 1 {
					return fmt.Errorf("import %s.%s takes %d values and gives %d, want none and at most one", module, name, t.params, t.results)
				}
				m.yield, m.result, found = m.imported.funcs, t.results == 1, true
			}
			m.imported.funcs++
		case 1: // table
			r.byte()
			r.limits()
		case 2: // memory
			r.limits()
		case 3: // global
			r.byte()
			r.byte()
			m.imported.globals++
		case 4: // tag
			r.byte()
			r.u32()
		default:
			if r.err == nil {
				return fmt.Errorf("import %s.%s: unknown kind %d", module, name, kind)
			}
		}
	}
	if err := r.end("import section"); err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("the module does not import %s.%s", m.Module, m.Name)
	}
	return nil
}

// addGlobal appends the budget: a mutable i32.
func (m *meter) addGlobal() error {
	n, rest, err := countOf(m.secs[secGlobal], "global section")
	if err != nil {
		return err
	}
	m.budget = m.imported.globals + n
	out := append(appendU32(nil, n+1), rest...)
	out = append(out, typeI32, mutable)
	out = append(appendS32(append(out, opI32Const), int32(m.Budget)), opEnd)
	m.secs[secGlobal] = out
	return nil
}

// addFunction declares the tick function, of type () -> ().
func (m *meter) addFunction() error {
	typ := -1
	for i, t := range m.types {
		if t == (funcType{}) {
			typ = i
			break
		}
	}
	if typ < 0 {
		n, rest, err := countOf(m.secs[secType], "type section")
		if err != nil {
			return err
		}
		typ = int(n)
		m.secs[secType] = append(append(appendU32(nil, n+1), rest...), 0x60, 0, 0)
	}
	n, rest, err := countOf(m.secs[secFunction], "function section")
	if err != nil {
		return err
	}
	m.tick = m.imported.funcs + n
	m.secs[secFunction] = appendU32(append(appendU32(nil, n+1), rest...), uint32(typ))
	return nil
}

func (m *meter) rewriteCode() error {
	old := m.secs[secCode]
	r := reader{b: old}
	n := r.count()
	if own := m.tick - m.imported.funcs; n != own {
		return fmt.Errorf("code section has %d bodies for %d functions", n, own)
	}
	check := m.check()
	out := make([]byte, 0, len(old)+len(old)/16)
	out = appendU32(out, n+1)
	var body []byte
	for i := range n {
		code := r.bytes(r.u32())
		if r.err != nil {
			return fmt.Errorf("function %d: %w", m.imported.funcs+i, r.err)
		}
		var err error
		if body, err = meterBody(body[:0], code, check); err != nil {
			return fmt.Errorf("function %d: %w", m.imported.funcs+i, err)
		}
		out = append(appendU32(out, uint32(len(body))), body...)
	}
	if err := r.end("code section"); err != nil {
		return err
	}
	tick := m.tickBody()
	m.secs[secCode] = append(appendU32(out, uint32(len(tick))), tick...)
	return nil
}

// check is put behind each loop header. It leaves the operand stack as it was,
// so a loop with parameters needs no other treatment.
func (m *meter) check() []byte {
	b := appendU32([]byte{opGlobalGet}, m.budget)
	b = append(b, opI32Const, 1, opI32Sub)
	b = appendU32(append(b, opGlobalSet), m.budget)
	b = appendU32(append(b, opGlobalGet), m.budget)
	b = append(b, opI32Eqz, opIf, blockEmpty)
	b = appendU32(append(b, opCall), m.tick)
	return append(b, opEnd)
}

// tickBody refills the budget before the call: a host that panics out of it
// leaves a module that can still be called.
func (m *meter) tickBody() []byte {
	b := appendS32([]byte{0, opI32Const}, int32(m.Budget))
	b = appendU32(append(b, opGlobalSet), m.budget)
	b = appendU32(append(b, opCall), m.yield)
	if m.result {
		b = append(b, opDrop)
	}
	return append(b, opEnd)
}

// meterBody appends a function body to out, with check behind each loop header.
func meterBody(out, body, check []byte) ([]byte, error) {
	r := reader{b: body}
	for n := r.u32(); n > 0 && r.err == nil; n-- { // locals: runs of (count, type)
		r.u32()
		r.valueType()
	}
	from := 0
	for r.err == nil && r.pos < len(body) {
		at := r.pos
		op := r.byte()
		if err := r.immediates(op); err != nil {
			return nil, fmt.Errorf("offset %d: %w", at, err)
		}
		if op == opLoop && r.err == nil {
			out = append(append(out, body[from:r.pos]...), check...)
			from = r.pos
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	if len(body) == 0 || body[len(body)-1] != opEnd {
		return nil, errors.New("body does not end with end")
	}
	return append(out, body[from:]...), nil
}
