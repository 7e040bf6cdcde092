package inference

import (
	"context"
	"strings"
	"testing"
)

// TestAuto holds that a machine without a GPU gets the CPU and is told so, and
// that a software driver is not taken unasked.
func TestAuto(t *testing.T) {
	var notices []string
	m, err := Open(context.Background(), Pocket, Options{Notice: func(s string) { notices = append(notices, s) }})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	i := m.Info()
	if strings.Contains(strings.ToLower(i.Device), "software") {
		t.Errorf("a software driver was taken: %s", i.Device)
	}
	if (i.Backend == "ref") != (len(notices) == 1) {
		t.Errorf("backend %s with notices %q", i.Backend, notices)
	}
}
