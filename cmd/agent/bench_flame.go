package main

import (
	"bytes"
	"fmt"
	"html/template"

	"chorale/inference/speed"
)

// block is a box of a flame graph, as wide as its part of the time of the one
// above it.
type block struct {
	Name    string
	Title   string // what a pointer that rests on it shows
	Percent float64
	Hue     int
	Inner   []block
}

// hues tell the model's sections apart.
var hues = map[string]int{"embedding": 280, "attention": 210, "experts": 25, "head": 140}

var flameTemplate = template.Must(template.New("flame").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{.Model}} on {{.Device}}</title>
<style>
 :root { color-scheme: light dark }
 body { font: 14px system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em }
 h2 { font-size: 1.1em; margin: 2em 0 .5em }
 .box { box-sizing: border-box; min-width: 0; overflow: hidden }
 .name { background: hsl(var(--hue) 60% 82%); color: #222; border: 1px solid #fff; border-radius: 3px;
   padding: 3px 5px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; font-size: 12px; line-height: 16px }
 .name:hover { filter: brightness(.9) }
 .inner { display: flex }
</style>
<h1>{{.Model}}</h1>
<p>{{.Device}}. Rest the pointer on a box for its figures.</p>
{{range .Graphs}}<h2>{{.Name}}</h2>
{{template "block" .}}
{{end}}
{{define "block"}}<div class="box" style="width: {{printf "%.3f" .Percent}}%; --hue: {{.Hue}}">
<div class="name" title="{{.Title}}">{{.Name}}</div>
{{if .Inner}}<div class="inner">{{range .Inner}}{{template "block" .}}{{end}}</div>{{end}}</div>{{end}}
</html>
`))

// flamePage draws the profiles as a page that needs nothing else.
func flamePage(r *speed.Result) ([]byte, error) {
	page := struct {
		Model, Device string
		Graphs        []block
	}{Model: r.Model, Device: r.Device}
	for _, p := range r.Profile {
		page.Graphs = append(page.Graphs, flame(p))
	}
	var b bytes.Buffer
	err := flameTemplate.Execute(&b, page)
	return b.Bytes(), err
}

// flame is a profile as a tree: sections, operations, kernels.
func flame(p speed.Profile) block {
	all := tree{}
	for _, x := range p.Places {
		operation := x.Operation
		if speed := operationSpeed(p, x); speed != "" {
			operation += ", " + speed
		}
		all.add(x.Seconds, x.Section, operation, fmt.Sprintf("%s × %d", x.Kernel, x.Runs))
	}
	root := all.block(fmt.Sprintf("%s of %d tokens", p.Work, p.Tokens), 0, all.seconds, p.Tokens, 0)
	root.Percent = 100
	return root
}

// tree adds up times by path.
type tree struct {
	seconds float64
	names   []string // of inner, in order
	inner   map[string]*tree
}

func (t *tree) add(seconds float64, path ...string) {
	if t.seconds += seconds; len(path) == 0 {
		return
	}
	if t.inner == nil {
		t.inner = map[string]*tree{}
	}
	next, ok := t.inner[path[0]]
	if !ok {
		next = &tree{}
		t.inner[path[0]] = next
		t.names = append(t.names, path[0])
	}
	next.add(seconds, path[1:]...)
}

// block draws a tree of which above took so many seconds, in a profile of so many
// in all.
func (t *tree) block(name string, above, total float64, tokens, hue int) block {
	if h, ok := hues[name]; ok {
		hue = h
	}
	b := block{Name: name, Hue: hue, Percent: 100 * t.seconds / max(above, t.seconds, 1e-12),
		Title: fmt.Sprintf("%s: %.3f ms a token, %.1f %%", name, 1e3*t.seconds/float64(tokens), 100*t.seconds/max(total, 1e-12))}
	for _, n := range t.names {
		b.Inner = append(b.Inner, t.inner[n].block(n, t.seconds, total, tokens, hue))
	}
	return b
}
