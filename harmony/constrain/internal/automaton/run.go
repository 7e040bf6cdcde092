package automaton

import "sync"

// Run is a kind of text, by its characters. Most of a vocabulary is of one kind
// or another, so that one question to an automaton settles thousands of tokens.
type Run uint8

// The kinds, the widest first.
const (
	RunPrintable Run = iota // anything but quotes, backslashes and control characters
	RunWords                // letters of all scripts, digits, spaces
	RunLatin                // a-z, A-Z, spaces
	RunLetters              // a-z, A-Z
	RunLower                // a-z
	Runs                    // the number of kinds
)

// MaxRun is the longest text, in characters, that counts as a run.
const MaxRun = 16

var runSets = [Runs][]rune{
	RunPrintable: {' ', '!', '#', '[', ']', '~', 0xa1, 0x167f, 0x1681, 0x1fff, 0x2010, 0x2027, 0x2030, 0x205e, 0x2070, 0x2fff, 0x3001, 0xd7ff, 0xf900, 0xfefe, 0xff01, 0xffdc, 0x10000, 0x1ffff},
	RunWords:     {' ', ' ', '0', '9', 'A', 'Z', 'a', 'z', 0xc0, 0xd6, 0xd8, 0xf6, 0xf8, 0x167f, 0x1681, 0x1fff, 0x3041, 0xd7ff},
	RunLatin:     {' ', ' ', 'A', 'Z', 'a', 'z'},
	RunLetters:   {'A', 'Z', 'a', 'z'},
	RunLower:     {'a', 'z'},
}

// KindOf returns the narrowest kind that the text is a run of, and its length in
// characters. It reports false for a text that is a run of no kind.
func KindOf(text string) (k Run, length int, ok bool) {
	k = Runs - 1
	for _, r := range text {
		of := Runs
		if r < 128 {
			of = asciiKinds[r]
		} else if of = kindOf(r); of == Runs {
			return 0, 0, false
		}
		if length++; of == Runs || length > MaxRun {
			return 0, 0, false
		}
		k = min(k, of)
	}
	return k, length, length > 0
}

// asciiKinds holds the narrowest kind of each character, Runs for none.
var asciiKinds = func() (kinds [128]Run) {
	for r := range kinds {
		kinds[r] = kindOf(rune(r))
	}
	return kinds
}()

func kindOf(r rune) Run {
	for k := Runs; k > 0; k-- {
		set := runSets[k-1]
		for i := 0; i < len(set); i += 2 {
			if set[i] <= r && r <= set[i+1] {
				return k - 1
			}
		}
	}
	return Runs
}

// runs holds, for one kind, how long a run may be that kills no state.
type runs struct {
	once    sync.Once
	lengths []uint8
}

// Survives returns the greatest length, at most MaxRun, of which every run of the
// kind leaves the state alive. If exact, every longer text kills it.
func (d *DFA) Survives(s int32, k Run) (length int, exact bool) {
	r := &d.runs[k]
	r.once.Do(func() { r.lengths = d.surviving(runSets[k]) })
	d.longest.once.Do(func() { d.longest.lengths = d.longestFrom() })
	return int(r.lengths[s]), d.longest.lengths[s] <= r.lengths[s]
}

// longestFrom returns the length of the longest text that leaves each state
// alive, or more than MaxRun.
func (d *DFA) longestFrom() []uint8 {
	n := len(d.label)
	out := make([]uint8, n)
	for range MaxRun + 1 {
		changed := false
		for s := n - 1; s > 0; s-- {
			for _, t := range d.trans[s*d.classes : (s+1)*d.classes] {
				if t != Dead && out[t] >= out[s] && out[s] <= MaxRun {
					out[s] = min(out[t], MaxRun) + 1
					changed = true
				}
			}
		}
		if !changed {
			break
		}
	}
	return out
}

// surviving returns for each state how long every text of the set's characters
// leaves it alive.
func (d *DFA) surviving(set []rune) []uint8 {
	in := make([]bool, d.classes)
	var classes []int
	for i := 0; i < len(set); i += 2 {
		for j := d.rangeOf(set[i]); j < len(d.starts) && d.starts[j] <= set[i+1]; j++ {
			if c := int(d.ids[j]); !in[c] {
				in[c] = true
				classes = append(classes, c)
			}
		}
	}
	n := len(d.label)
	out := make([]uint8, n)
	for length := uint8(1); length <= MaxRun; length++ {
		grown := false
		for s := 1; s < n; s++ {
			if out[s] != length-1 {
				continue
			}
			all := true
			for _, c := range classes {
				if t := d.trans[s*d.classes+c]; t == Dead || out[t] < length-1 {
					all = false
					break
				}
			}
			if all {
				out[s] = length
				grown = true
			}
		}
		if !grown {
			break
		}
	}
	return out
}
