package main

import (
	"os"
	"path/filepath"

	"chorale/inference/speed"
	"chorale/internal/chart"
)

// The pictures of a measurement.
const (
	decodePicture  = "decode.svg"
	prefillPicture = "prefill.svg"
)

// plotBench draws what a token costs by the length of the conversation, and a
// prompt by its own, beside what the model's shape lets one expect.
func plotBench(dir string, r *speed.Result) error {
	for name, c := range map[string]chart.Chart{decodePicture: decodeChart(r), prefillPicture: prefillChart(r)} {
		if err := os.WriteFile(filepath.Join(dir, name), c.SVG(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// timeOf is what tokens cost at a rate: in CPU time of all threads where the CPU
// computes, else by the clock. least and most are those of the spread.
func timeOf(r *speed.Result, tokens int, rate, perCPU speed.Spread) (median, least, most float64, unit string) {
	per := float64(tokens)
	unit = "s"
	if r.TimedCPU && perCPU.Min > 0 {
		rate, per, unit = perCPU, per/float64(r.Threads), "s, in CPU time of all threads"
	}
	return per / rate.Median, per / rate.Max, per / rate.Min, unit
}

func decodeChart(r *speed.Result) chart.Chart {
	c := chart.Chart{Title: "Decode: time of a token", Note: r.Model + " on " + r.Device, X: "tokens before it"}
	measured, explained := chart.Line{Name: "measured"}, chart.Line{Name: "what the bytes explain", Dashed: true}
	for _, d := range r.Decode {
		if d.Sessions > 1 {
			continue
		}
		median, least, most, unit := timeOf(r, 1, d.Rate, d.PerCPU)
		c.Y = "m" + unit
		measured.Points = append(measured.Points, chart.Point{X: float64(d.Depth), Y: 1e3 * median, Low: 1e3 * least, High: 1e3 * most})
		first := r.Decode[0]
		start := measured.Points[0].Y
		explained.Points = append(explained.Points, chart.Point{X: float64(d.Depth), Y: start * float64(d.Reads) / float64(first.Reads)})
	}
	c.Lines = []chart.Line{explained, measured}
	return c
}

func prefillChart(r *speed.Result) chart.Chart {
	c := chart.Chart{Title: "Prefill: time to the first token", Note: r.Model + " on " + r.Device, X: "tokens of the prompt"}
	measured, explained := chart.Line{Name: "measured"}, chart.Line{Name: "in proportion to the multiplications", Dashed: true}
	for _, p := range r.Prefill {
		median, least, most, unit := timeOf(r, p.Tokens, p.Rate, p.PerCPU)
		c.Y = unit
		measured.Points = append(measured.Points, chart.Point{X: float64(p.Tokens), Y: median, Low: least, High: most})
	}
	if n := len(r.Prefill); n > 0 { // the longest one's speed, for all
		last := measured.Points[n-1].Y / float64(r.Prefill[n-1].Products)
		for _, p := range r.Prefill {
			explained.Points = append(explained.Points, chart.Point{X: float64(p.Tokens), Y: last * float64(p.Products)})
		}
	}
	c.Lines = []chart.Line{explained, measured}
	return c
}
