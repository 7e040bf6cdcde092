//go:build goexperiment.simd && amd64

package kernel

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// TestDisassembly reads the machine code of this package and of philox, as built for
// this test, and finds legacy SSE instructions in loops that run while the upper halves
// of vector registers are in use: after one that uses a 256- or 512-bit register and
// before vzeroupper, whichever way the jumps go. On some processors each costs more
// than the loop around it.
func TestDisassembly(t *testing.T) {
	tool, err := exec.LookPath("objdump") // Go's own cannot read AVX-512
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("objdump is missing: install binutils")
		}
		t.Skip("objdump is missing: install binutils")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, "-d", "--no-show-raw-insn", self)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	vectors := 0
	var f function
	finish := func() {
		if strings.HasPrefix(f.name, "chorale/inference/internal/") && f.wide() {
			vectors++
			for _, i := range f.mixed() {
				t.Errorf("%s: legacy SSE in vector code: %s", f.name, i.text)
			}
		}
	}
	for s := bufio.NewScanner(out); s.Scan(); {
		at, text, ok := strings.Cut(strings.TrimSpace(s.Text()), ":\t")
		pc, err := strconv.ParseUint(at, 16, 64)
		if !ok || err != nil {
			continue
		}
		fn := runtime.FuncForPC(uintptr(pc)) // the program has no symbols
		if fn == nil {
			continue
		}
		if fn.Entry() != f.entry {
			finish()
			f = function{entry: fn.Entry(), name: runtime.FuncForPC(fn.Entry()).Name()}
		}
		f.code = append(f.code, instruction{at, text})
	}
	finish()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if vectors < 30 {
		t.Errorf("found %d functions with wide vectors, want all kernels of two sets", vectors)
	}
	t.Logf("%d functions with wide vectors", vectors)
}

type instruction struct{ addr, text string }

type function struct {
	entry uintptr
	name  string
	code  []instruction
}

var wide = regexp.MustCompile(`%[yz]mm`)

func (i instruction) wide() bool { return wide.MatchString(i.text) }

// legacy reports whether the instruction is one of SSE without a VEX prefix.
func (i instruction) legacy() bool { return strings.Contains(i.text, "%xmm") && i.text[0] != 'v' }

func (f *function) wide() bool {
	for _, i := range f.code {
		if i.wide() {
			return true
		}
	}
	return false
}

// mixed returns the legacy instructions in loops that run while upper halves are
// in use.
func (f *function) mixed() (found []instruction) {
	index := map[string]int{}
	clears := false
	for n, i := range f.code {
		index[i.addr] = n
		clears = clears || strings.HasPrefix(i.text, "vzeroupper")
	}
	loops := make([]bool, len(f.code)) // between a jump back and where it leads
	const reached, inUse = 1, 2
	state := make([]uint8, len(f.code))
	start := uint8(reached)
	if !clears {
		start |= inUse // called by a kernel amid its work
	}
	work := []int{0}
	state[0] = start
	for len(work) > 0 {
		n := work[len(work)-1]
		work = work[:len(work)-1]
		i, after := f.code[n], state[n]
		if i.wide() {
			after |= inUse
		}
		op, target, _ := strings.Cut(i.text, " ")
		if op == "vzeroupper" {
			after = reached
		}
		addr, _, _ := strings.Cut(strings.TrimSpace(target), " ")
		addr = strings.TrimPrefix(addr, "0x")
		var next []int
		if to, ok := index[addr]; ok && op[0] == 'j' {
			next = append(next, to)
			if to > 0 { // at the beginning it is no loop: the stack has grown
				for k := to; k < n; k++ {
					loops[k] = true
				}
			}
		}
		if op != "jmp" && op != "ret" && !(op == "call" && panics(addr)) && n+1 < len(f.code) {
			next = append(next, n+1)
		}
		for _, to := range next {
			if state[to]|after != state[to] {
				state[to] |= after
				work = append(work, to)
			}
		}
	}
	for n, i := range f.code {
		if state[n]&inUse != 0 && loops[n] && i.legacy() {
			found = append(found, i)
		}
	}
	return found
}

// panics reports whether the function at an address does not return.
func panics(addr string) bool {
	pc, err := strconv.ParseUint(addr, 16, 64)
	fn := runtime.FuncForPC(uintptr(pc))
	return err == nil && fn != nil && strings.HasPrefix(fn.Name(), "runtime.panic")
}
