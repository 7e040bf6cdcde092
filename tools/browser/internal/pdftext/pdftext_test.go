package pdftext

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

var limits = Limits{Memory: 256 << 20, Text: 1 << 20}

func paper(t *testing.T) []byte {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector makes the compiler take minutes: make heavy")
	}
	b, err := os.ReadFile("testdata/paper.pdf")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPDF(t *testing.T) {
	d, err := Read(t.Context(), paper(t), limits)
	if err != nil {
		t.Fatal(err)
	}
	if d.Title != "A paper" || len(d.Pages) != 2 || d.Cut {
		t.Fatalf("got %+v", d)
	}
	for _, want := range []string{"On bridges\nBridges hum at 12 Hz — naïve “office” fine Ωμέγα", "has a link.\na b\n1 2"} {
		if !strings.Contains(d.Pages[0], want) {
			t.Errorf("want %q in %q", want, d.Pages[0])
		}
	}
	if d.Pages[1] != "Page two" {
		t.Errorf("page 2 is %q", d.Pages[1])
	}
	if d, err := Read(t.Context(), paper(t), Limits{Memory: limits.Memory, Text: 10}); err != nil || len(d.Pages) != 1 || !d.Cut {
		t.Errorf("with little room for text: %+v, %v", d, err)
	}
}

// TestBroken reads documents that are damaged, lie or loop. Each ends, with text
// or an error.
func TestBrokenPDF(t *testing.T) {
	whole := paper(t)
	loop := "%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2000000000>>endobj\ntrailer<</Root 1 0 R/Prev 9>>\nstartxref\n9\n%%EOF\n"
	content := "%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
		"3 0 obj<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</XObject<</X 4 0 R>>>>>>endobj\n" +
		"4 0 obj<</Type/XObject/Subtype/Form/Resources<</XObject<</X 4 0 R>>>>/Length 14>>stream\n/X Do /X Do /X\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
	cases := map[string][]byte{
		"empty": nil, "text": []byte("no PDF"), "only a head": []byte("%PDF-1.7\n"), "loop": []byte(loop), "drawing itself": []byte(content),
		"zeros": append([]byte("%PDF-1.7\n"), make([]byte, 1<<20)...), "half": whole[:len(whole)/2], "no end": whole[:len(whole)-300],
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 12 {
		b := bytes.Clone(whole)
		for range 1 << i {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
		cases["damaged "+string(rune('a'+i))] = b
	}
	for name, b := range cases {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		d, err := Read(ctx, b, limits)
		if (d == nil) == (err == nil) || ctx.Err() != nil {
			t.Errorf("%s: %v, %v", name, d, err)
		}
		cancel()
	}
	for _, name := range []string{"empty", "text"} {
		if _, err := Read(t.Context(), cases[name], limits); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	if d, err := Read(t.Context(), whole, Limits{Memory: 1 << 16, Text: 1 << 20}); err == nil {
		t.Errorf("read without memory: %+v", d)
	}
}

// TestStopped ends readings in the middle.
func TestStoppedPDF(t *testing.T) {
	for _, after := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		if d, err := Read(ctx, paper(t), limits); err == nil && ctx.Err() != nil && d == nil {
			t.Errorf("stopped after %v: no error", after)
		}
		cancel()
	}
	if _, err := Read(t.Context(), paper(t), limits); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
