package chart

import (
	"encoding/xml"
	"io"
	"slices"
	"strings"
	"testing"
)

// TestSVG holds that a chart is XML that shows its names, escaped, with every
// point inside the axes; also one of nothing, and of zeros.
func TestSVG(t *testing.T) {
	for name, c := range map[string]Chart{
		"empty": {},
		"zeros": {Lines: []Line{{Points: []Point{{}, {}}}}},
		"lines": {Title: `a < "b"`, Note: "n & m", X: "x", Y: "y", Lines: []Line{
			{Name: "expected", Dashed: true, Points: []Point{{X: 0, Y: 1}, {X: 30000, Y: 2}}},
			{Name: "measured", Points: []Point{{X: 0, Y: 1, Low: .9, High: 1.1}, {X: 32768, Y: 2.5, Low: 2, High: 3}}}}},
	} {
		svg := string(c.SVG())
		d := xml.NewDecoder(strings.NewReader(svg))
		circles := 0
		for {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
				circles++
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s: a place that is no number", name)
		}
		if name == "lines" && (circles != 2 || !strings.Contains(svg, "a &lt; &#34;b&#34;") || !strings.Contains(svg, "expected")) {
			t.Errorf("lines: %d marks, want 2, in\n%s", circles, svg)
		}
	}
}

// TestTicks holds that ticks are round, few and inside.
func TestTicks(t *testing.T) {
	for _, test := range []struct {
		most float64
		want []float64
	}{
		{32768, []float64{0, 5000, 10000, 15000, 20000, 25000, 30000}},
		{1, []float64{0, .2, .4, .6, .8, 1}},
		{105, []float64{0, 20, 40, 60, 80, 100}},
		{0, []float64{0}},
	} {
		got := axis{most: test.most}.ticks()
		if !slices.EqualFunc(got, test.want, func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }) {
			t.Errorf("ticks to %v: %v, want %v", test.most, got, test.want)
		}
	}
	for v, want := range map[float64]string{32768: "32,768", 0.3: "0.3", 1234567: "1,234,567", 0: "0", 100: "100"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}
