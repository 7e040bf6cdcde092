package main

import (
	"strings"
	"testing"

	"chorale/runtime"
	"chorale/tools"
)

func TestShowsLinks(t *testing.T) {
	for env, want := range map[string]bool{
		"": false, "TERM=xterm-256color": false, "TERM=xterm-kitty": true, "VTE_VERSION=7006": true, "VTE_VERSION=4800": false,
		"TERM_PROGRAM=vscode": true, "TERM_PROGRAM=Apple_Terminal": false, "WT_SESSION=x": true,
	} {
		name, value, _ := strings.Cut(env, "=")
		if got := showsLinks(func(n string) string { return map[string]string{name: value}[n] }); got != want {
			t.Errorf("%s: %v", env, got)
		}
	}
}

// TestCitedLinks: the pages that an answer cites can be clicked, and their
// addresses steer nothing.
func TestCitedLinks(t *testing.T) {
	var b strings.Builder
	v := newView(&b, 60)
	v.links = true
	err := v.finish(runtime.Result{Dir: "/runs/x", Citations: []tools.Citation{
		{Cursor: 0, Lines: "L6", Title: "Shop", URL: "https://shop.example/a?b=é"},
		{Cursor: 2, Title: "Evil", URL: "https://shop.example/\x1b\\\x1b]0;x\a"},
		{Cursor: 1, Title: "Not of the web", URL: "javascript:alert(1)"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"[0] L6 · Shop · \x1b]8;;https://shop.example/a?b=%C3%A9\x1b\\https://shop.example/a?b=é\x1b]8;;\x1b\\\n",
		"[2] · Evil · https://shop.example/·\\·]0;x·\n",
		"[1] · Not of the web · javascript:alert(1)\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("want %q in %q", want, b.String())
		}
	}
}
