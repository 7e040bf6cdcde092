package wasmpass

import "fmt"

// Config says how a module is metered. The zero value is refused.
type Config struct {
	Budget uint32 // loop turns between two calls of the host
	Module string // the imported function to call: its module ...
	Name   string // ... and its name; no parameters, at most one result
}

// Meter returns the module with its loops metered: each loop header counts a
// budget down; when it is spent, the module calls a function that it already
// imports, and the host may look at a deadline, let the Go scheduler run, or
// end the call by panicking.
//
// Without this a loop in compiled WebAssembly is out of the Go runtime's
// reach: it can't be preempted, so even a garbage collection waits for it.
// wazero's own answer, WithCloseOnContextDone, calls into Go on every turn of
// every loop, which makes an interpreter about three times slower.
//
// memory.copy and memory.fill are one instruction and may take tenths of a
// second, most of it for pages that are touched for the first time. What is
// longer than a piece is cut into pieces, and the function is called after each.
//
// What calls itself without a loop is not metered. Whatever runs for ever without
// ever deeper calls passes a loop header again and again, since there is no other
// way back in WebAssembly; and each header counts.
func Meter(module []byte, c Config) ([]byte, error) {
	if c.Budget == 0 || c.Budget > 1<<31-1 {
		return nil, fmt.Errorf("meter module: budget %d is not in 1 to 2^31-1", c.Budget)
	}
	o, err := read(module)
	if err == nil {
		err = (&meter{Config: c, outline: o}).rewrite()
	}
	if err != nil {
		return nil, fmt.Errorf("meter module: %w", err)
	}
	return join(o.secs), nil
}

// meter holds what the steps of one rewrite learn from each other.
type meter struct {
	Config
	*outline
	yield  uint32 // function index of the import
	result bool   // whether it leaves a result to drop
	tick   uint32 // function index of the function that refills and calls
	copy   uint32 // and of those that do what memory.copy
	fill   uint32 // and memory.fill do
	budget uint32 // global index

	refill, count []byte // code at the head of each loop
}

func (m *meter) rewrite() error {
	if err := m.findYield(); err != nil {
		return err
	}
	var err error
	if m.budget, err = m.addGlobal(int32(m.Budget)); err != nil {
		return err
	}
	m.tick = m.addFunction(funcType{})
	added := [][]byte{m.tickBody()}
	if m.secs[secMemory] != nil || m.memories > 0 {
		bulk := funcType{params: []byte{typeI32, typeI32, typeI32}}
		m.copy, m.fill = m.addFunction(bulk), m.addFunction(bulk)
		added = append(added, m.copyBody(), m.fillBody())
	}
	m.refill, m.count = m.checks()
	return m.rewriteCode(func(out []byte, _ uint32, body []byte) ([]byte, error) {
		return m.body(out, body)
	}, added...)
}

func (m *meter) findYield() error {
	for i, im := range m.imports {
		if im.module != m.Module || im.name != m.Name {
			continue
		}
		t := m.types[im.typ]
		if len(t.params) != 0 || len(t.results) > 1 {
			return fmt.Errorf("import %s.%s takes %d values and gives %d, want none and at most one", im.module, im.name, len(t.params), len(t.results))
		}
		m.yield, m.result = uint32(i), len(t.results) == 1
		return nil
	}
	return fmt.Errorf("the module does not import %s.%s", m.Module, m.Name)
}

// checks are what is put behind the headers of a loop: see loops.go. They leave
// the operand stack as it was, so a loop with parameters needs no other
// treatment.
func (m *meter) checks() (refill, count []byte) {
	refill = appendU32([]byte{opGlobalGet}, m.budget)
	refill = append(refill, opI32Eqz, opIf, blockEmpty)
	refill = appendU32(append(refill, opCall), m.tick)
	refill = append(refill, opEnd)
	count = appendU32([]byte{opGlobalGet}, m.budget)
	count = append(count, opI32Const, 1, opI32Sub)
	count = appendU32(append(count, opGlobalSet), m.budget)
	count = appendU32(append(count, opGlobalGet), m.budget)
	return refill, append(count, opI32Eqz)
}

// tickBody refills the budget before the call: a host that panics out of it
// leaves a module that can still be called.
func (m *meter) tickBody() []byte {
	b := appendS32([]byte{0, opI32Const}, int32(m.Budget+1)) // the turn that called is counted again
	b = appendU32(append(b, opGlobalSet), m.budget)
	b = appendU32(append(b, opCall), m.yield)
	if m.result {
		b = append(b, opDrop)
	}
	return append(b, opEnd)
}
