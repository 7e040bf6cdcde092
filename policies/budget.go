package policies

import (
	"cmp"
	"errors"
	"slices"

	"chorale/internal/strictyaml"
	"chorale/policies/provenance"
)

// budget bounds what the calls that a rule fits may amount to in a run. Zero
// fields are no bound.
type budget struct {
	Calls    *int             `yaml:"calls"`
	Bytes    *strictyaml.Size `yaml:"bytes"`
	NewHosts *int             `yaml:"newHosts"`
}

// Check refuses a budget that bounds nothing, and negative ones.
func (b *budget) Check() error {
	if *b == (budget{}) {
		return errors.New("says nothing; give calls, bytes or newHosts")
	}
	if b.Calls != nil && *b.Calls < 0 || b.NewHosts != nil && *b.NewHosts < 0 {
		return errors.New("must not be negative")
	}
	return nil
}

// Tally is what a run has spent of the budgets of its rules. The zero value is
// a run that has spent nothing. Deciding reads it; who runs a call charges it.
type Tally struct{ spent map[string]*usage }

type usage struct {
	calls, bytes int
	hosts        map[string]bool
}

// Charge books a call that is run on the budgets that its decision names.
func (t *Tally) Charge(d Decision, r Request) {
	for _, key := range d.Charges {
		if t.spent == nil {
			t.spent = map[string]*usage{}
		}
		u := t.spent[key]
		if u == nil {
			u = &usage{hosts: map[string]bool{}}
			t.spent[key] = u
		}
		u.calls++
		u.bytes += len(r.Call.Args)
		for _, h := range newHosts(r.Leaves) {
			u.hosts[h] = true
		}
	}
}

// covers reports whether one more call fits into a budget.
func (b *budget) covers(t *Tally, key string, r *Request) bool {
	u := &usage{}
	if t != nil && t.spent[key] != nil {
		u = t.spent[key]
	}
	hosts := len(u.hosts)
	for _, h := range newHosts(r.Leaves) {
		if !u.hosts[h] {
			hosts++
		}
	}
	return !(b.Calls != nil && u.calls+1 > *b.Calls ||
		b.Bytes != nil && int64(u.bytes+len(r.Call.Args)) > int64(*b.Bytes) ||
		b.NewHosts != nil && hosts > *b.NewHosts)
}

// newHosts are the hosts that a call addresses and that nobody named, each once.
// An address whose host cannot be read is one of its own.
func newHosts(leaves []provenance.Leaf) []string {
	var out []string
	for _, l := range leaves {
		if l.Class != provenance.URL {
			continue
		}
		for _, k := range l.Links {
			if k.Standing != provenance.Named && k.Standing != provenance.OnNamed {
				if host := cmp.Or(k.Host, k.URL); !slices.Contains(out, host) {
					out = append(out, host)
				}
			}
		}
	}
	return out
}

// Remember says how long a person's yes to an ask holds, for the same tool and
// the same arguments. It never holds longer than a run.
type Remember uint8

// The spans of a yes, the shortest last.
const (
	AsChosen Remember = iota // no rule says: the person may choose
	ForRun                   // for the rest of the run
	ForOnce                  // for this call alone
)

// UnmarshalText reads "once" or "run".
func (m *Remember) UnmarshalText(text []byte) error {
	switch string(text) {
	case "once":
		*m = ForOnce
	case "run":
		*m = ForRun
	default:
		return errors.New(`must be once or run; no yes holds for ever`)
	}
	return nil
}
