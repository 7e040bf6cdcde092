package main

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	for name, tc := range map[string]struct {
		pieces []string
		want   string
	}{
		"breaks between words": {[]string{"one two three four"}, "> one two \n> three four\n"},
		"words in pieces":      {[]string{"on", "e tw", "o thr", "ee four"}, "> one two \n> three four\n"},
		"a word too long":      {[]string{"abcdefghijklm"}, "> abcdefghij\n> klm\n"},
		"wide characters":      {[]string{"漢字漢字漢字"}, "> 漢字漢字漢\n> 字\n"},
		"its own lines":        {[]string{"a\n\nb\n"}, "> a\n>\n> b\n"},
		"nothing":              {nil, ""},
		"escape sequences":     {[]string{"\x1b[2Jx\u202ey\a"}, "> ·[2Jx·y·\n"},
		"carriage return":      {[]string{"a\r\nb"}, "> a\n> b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			w := &wrapper{out: &b, prefix: "> ", style: func(s string) string { return s }, width: 10}
			for _, p := range tc.pieces {
				w.write(p)
			}
			w.close()
			if b.String() != tc.want {
				t.Errorf("got %q, want %q", b.String(), tc.want)
			}
		})
	}
}
