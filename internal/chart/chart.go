// Package chart draws lines over two linear axes that begin at zero, as SVG that
// stands by itself: on light and dark pages alike, without scripts or fonts.
package chart

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Point is a measurement. Low and High are its spread, where they differ.
type Point struct{ X, Y, Low, High float64 }

// Line is a series, drawn in the order of its points.
type Line struct {
	Name   string
	Dashed bool // an expectation, without marks
	Points []Point
}

// Chart is a picture: names of axes, and lines of which the last lies on top.
type Chart struct {
	Title, Note string
	X, Y        string
	Lines       []Line
}

// The picture's size and the margins of its axes, in pixels.
const (
	width, height            = 720, 400
	left, right, top, bottom = 72, 24, 64, 56
)

// colours of lines: one that is expected, then those that are measured.
var colours = []string{"#8a8f98", "#2f6fd0", "#c2571a", "#2e8b57", "#8a4fbf"}

// SVG draws the chart.
func (c *Chart) SVG() []byte {
	var b strings.Builder
	x, y := c.axes()
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	text(&b, left, 24, "start", `font-size="15" font-weight="600" fill="#222"`, c.Title)
	text(&b, left, 42, "start", `fill="#555"`, c.Note)
	for _, t := range x.ticks() {
		line(&b, x.at(t), top, x.at(t), height-bottom, "#e4e6ea")
		text(&b, x.at(t), height-bottom+18, "middle", `fill="#555"`, number(t))
	}
	for _, t := range y.ticks() {
		line(&b, left, y.at(t), width-right, y.at(t), "#e4e6ea")
		text(&b, left-8, y.at(t)+4, "end", `fill="#555"`, number(t))
	}
	text(&b, (left+width-right)/2, height-bottom+40, "middle", `fill="#222"`, c.X)
	fmt.Fprintf(&b, `<text transform="translate(18 %d) rotate(-90)" text-anchor="middle" fill="#222">%s</text>`+"\n", (top+height-bottom)/2, html.EscapeString(c.Y))
	measured := 0
	for i, l := range c.Lines {
		colour := colours[0]
		if !l.Dashed {
			measured++
			colour = colours[1+(measured-1)%(len(colours)-1)]
		}
		l.draw(&b, x, y, colour)
		l.legend(&b, left+12, float64(top+16+18*i), colour)
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// axes fit all points.
func (c *Chart) axes() (x, y axis) {
	x, y = axis{from: left, to: width - right}, axis{from: height - bottom, to: top}
	for _, l := range c.Lines {
		for _, p := range l.Points {
			x.most, y.most = max(x.most, p.X), max(y.most, p.Y, p.High)
		}
	}
	y.most *= 1.05
	return x, y
}

func (l *Line) draw(b *strings.Builder, x, y axis, colour string) {
	var points []string
	for _, p := range l.Points {
		points = append(points, fmt.Sprintf("%.1f,%.1f", x.at(p.X), y.at(p.Y)))
	}
	dash := ""
	if l.Dashed {
		dash = ` stroke-dasharray="6 4"`
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n", strings.Join(points, " "), colour, dash)
	for _, p := range l.Points {
		if l.Dashed {
			continue
		}
		if p.High > p.Low {
			line(b, x.at(p.X), y.at(p.Low), x.at(p.X), y.at(p.High), colour)
		}
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x.at(p.X), y.at(p.Y), colour)
	}
}

func (l *Line) legend(b *strings.Builder, x, y float64, colour string) {
	dash := ""
	if l.Dashed {
		dash = ` stroke-dasharray="6 4"`
	}
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="2"%s/>`+"\n", x, y, x+26, y, colour, dash)
	text(b, x+34, y+4, "start", `fill="#222"`, l.Name)
}

func line(b *strings.Builder, x1, y1, x2, y2 float64, colour string) {
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, colour)
}

func text(b *strings.Builder, x, y float64, anchor, style, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, style, html.EscapeString(s))
}

// axis maps numbers from 0 to most onto pixels.
type axis struct{ most, from, to float64 }

func (a axis) at(v float64) float64 {
	if a.most == 0 {
		return a.from
	}
	return a.from + v/a.most*(a.to-a.from)
}

// ticks are about five round numbers from 0 on.
func (a axis) ticks() (all []float64) {
	if !(a.most > 0) || math.IsInf(a.most, 1) {
		return []float64{0}
	}
	step := math.Pow(10, math.Floor(math.Log10(a.most/5)))
	for _, f := range []float64{10, 5, 2} {
		if f*step <= a.most/4 {
			step *= f
			break
		}
	}
	for i := 0; float64(i)*step <= a.most; i++ {
		all = append(all, float64(i)*step)
	}
	return all
}

// number writes a tick with the digits that it needs, thousands apart.
func number(v float64) string {
	s := strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
	whole, fraction, dotted := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if dotted {
		return whole + "." + fraction
	}
	return whole
}
