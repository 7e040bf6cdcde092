package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// report is what an evaluation found.
type report struct {
	Engine string  `json:"engine"`
	File   string  `json:"file"`
	Replay *scores `json:"replay,omitempty"`
	Stack  *scores `json:"stack,omitempty"`
}

// scores count right episodes, in all and by kind.
type scores struct {
	score
	Seconds float64           `json:"seconds"`
	Kinds   map[string]*score `json:"kinds"`
	Wrong   []int             `json:"wrong"` // ids
}

type score struct {
	Right int     `json:"right"`
	Total int     `json:"total"`
	Share float64 `json:"share"` // of 1
}

func (s *score) count(right bool) {
	s.Total++
	if right {
		s.Right++
	}
	s.Share = float64(s.Right) / float64(s.Total)
}

func (s *scores) add(ep *episode, right bool) {
	s.count(right)
	if s.Kinds == nil {
		s.Kinds = map[string]*score{}
	}
	if s.Kinds[ep.Kind] == nil {
		s.Kinds[ep.Kind] = &score{}
	}
	s.Kinds[ep.Kind].count(right)
	if !right {
		s.Wrong = append(s.Wrong, ep.ID)
	}
}

// print writes a table: a row a kind, a column a mode.
func (r *report) print(out io.Writer) error {
	fmt.Fprintf(out, "%s, %s\n\n%-8s", r.Engine, r.File, "kind")
	kinds := map[string]bool{}
	var columns []*scores
	for _, c := range []struct {
		name string
		s    *scores
	}{{"replay", r.Replay}, {"stack", r.Stack}} {
		if c.s == nil {
			continue
		}
		columns = append(columns, c.s)
		fmt.Fprintf(out, "%19s", c.name)
		for k := range c.s.Kinds {
			kinds[k] = true
		}
	}
	fmt.Fprintln(out)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(out, "%-8s", kind)
		for _, c := range columns {
			fmt.Fprint(out, c.Kinds[kind].cell())
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "%-8s", "all")
	for _, c := range columns {
		fmt.Fprint(out, c.cell())
	}
	_, err := fmt.Fprintln(out)
	return err
}

// cell is a score in 19 columns.
func (s *score) cell() string {
	if s == nil {
		return fmt.Sprintf("%19s", "–")
	}
	return fmt.Sprintf("%10s %6.1f %%", fmt.Sprintf("%d/%d", s.Right, s.Total), 100*s.Share)
}
