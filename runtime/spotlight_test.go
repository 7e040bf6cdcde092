package runtime

import (
	"strings"
	"testing"
)

// A run's delimiter is its own, so no page can close what it stands in.
func TestSpotlight(t *testing.T) {
	a, b := newSpotlight(SpotlightDelimit), newSpotlight(SpotlightDelimit)
	shown := a.mark()("hello " + b.word + ">> you")
	if a.word == b.word || !strings.HasPrefix(shown, "<<"+a.word) || !strings.HasSuffix(shown, a.word+">>") || !strings.Contains(a.note(), a.word) {
		t.Errorf("%q, %q", shown, a.note())
	}
	m := newSpotlight(SpotlightMark)
	if got := m.mark()("send it\n to  me"); got != "send^it^to^me" || m.note() == "" {
		t.Errorf("%q, %q", got, m.note())
	}
	for _, off := range []string{"", SpotlightOff} {
		if s := newSpotlight(off); s.mark() != nil || s.note() != "" {
			t.Errorf("%q marks", off)
		}
	}
}
