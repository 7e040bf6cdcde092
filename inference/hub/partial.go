package hub

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
)

// span is the bytes from at up to end.
type span struct{ at, end int64 }

// partial is a file while it is fetched: its data at full length, with holes, and
// a journal of the spans that are there. A span is written to the journal once
// its bytes are on the disk, so that a process that is killed loses little.
type partial struct {
	size int64
	data *os.File

	mu      sync.Mutex
	journal *os.File
	have    []span // in order, apart from each other
}

// journalSuffix is what a journal's name has behind the data's.
const journalSuffix = ".journal"

// openPartial opens what an earlier attempt left under the name, or begins.
func openPartial(root *os.Root, name string, size int64) (_ *partial, err error) {
	p := &partial{size: size}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	for _, f := range []struct {
		at   **os.File
		name string
	}{{&p.data, name}, {&p.journal, name + journalSuffix}} {
		if err := regular(root, f.name); err != nil {
			return nil, err
		}
		if *f.at, err = root.OpenFile(f.name, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
			return nil, err
		}
	}
	st, err := p.data.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() != size {
		return p, p.reset()
	}
	return p, p.replay()
}

// regular refuses a name under which lies something other than a file: a link
// could lead the data elsewhere.
func regular(root *os.Root, name string) error {
	st, err := root.Lstat(name)
	if err == nil && !st.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file; remove it", name)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// reset forgets all data.
func (p *partial) reset() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.have = nil
	return errors.Join(p.journal.Truncate(0), p.data.Truncate(0), p.data.Truncate(p.size))
}

// replay reads the journal. A line that was cut short, or that no writer of ours
// left, ends it: what follows is fetched again.
func (p *partial) replay() error {
	if _, err := p.journal.Seek(0, io.SeekStart); err != nil {
		return err
	}
	good := int64(0)
	for s := bufio.NewReader(p.journal); ; {
		line, err := s.ReadString('\n')
		if err != nil && err != io.EOF {
			return err
		}
		var at, end int64
		if n, _ := fmt.Sscanf(line, "%d %d\n", &at, &end); err == io.EOF || n != 2 || at < 0 || end <= at || end > p.size {
			break
		}
		p.add(span{at, end})
		good += int64(len(line))
	}
	if err := p.journal.Truncate(good); err != nil {
		return err
	}
	_, err := p.journal.Seek(good, io.SeekStart)
	return err
}

// commit notes that a span is there.
func (p *partial) commit(s span) error {
	if s.at >= s.end {
		return nil
	}
	if err := p.data.Sync(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(s)
	_, err := fmt.Fprintf(p.journal, "%d %d\n", s.at, s.end)
	return err
}

// add joins a span with those that it touches.
func (p *partial) add(s span) {
	var out []span
	for _, h := range p.have {
		if h.end < s.at || h.at > s.end {
			out = append(out, h)
			continue
		}
		s = span{min(s.at, h.at), max(s.end, h.end)}
	}
	i, _ := slices.BinarySearchFunc(out, s, func(a, b span) int { return int(min(1, max(-1, a.at-b.at))) })
	p.have = slices.Insert(out, i, s)
}

// missing are the spans that are not there, none longer than limit.
func (p *partial) missing(limit int64) []span {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []span
	at := int64(0)
	for _, h := range append(slices.Clone(p.have), span{p.size, p.size}) {
		for at < h.at {
			s := span{at, min(h.at, at+limit)}
			out, at = append(out, s), s.end
		}
		at = h.end
	}
	return out
}

// got is how many bytes are there.
func (p *partial) got() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := int64(0)
	for _, h := range p.have {
		n += h.end - h.at
	}
	return n
}

func (p *partial) close() error {
	var errs []error
	for _, f := range []*os.File{p.data, p.journal} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
