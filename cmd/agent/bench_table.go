package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"chorale/inference"
	"chorale/inference/speed"
)

// writeBench prints what was measured.
func writeBench(out io.Writer, r *speed.Result) error {
	fmt.Fprintf(out, "%s on %s\n", r.Model, r.Device)
	fmt.Fprintf(out, "  weights    %s, KV cache in %s\n", inference.GB(r.Weights), r.KV)
	fmt.Fprintf(out, "  bandwidth  %s a second\n", inference.GB(int64(r.Bandwidth)))
	memory := inference.GB(r.Memory.Resident) + " of the process"
	if r.Memory.Device > 0 {
		memory += ", " + inference.GB(r.Memory.Device) + " of buffers on the device"
	}
	fmt.Fprintf(out, "  memory     %s at most; planned %s\n", memory, inference.GB(r.Memory.Planned))
	fmt.Fprintf(out, "  start      %s\n\n", startLine(r.Start))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...any) {
		for _, c := range cells {
			fmt.Fprintf(w, "%v\t", c)
		}
		fmt.Fprintln(w)
	}
	row("", "tok/s min", "median", "max", "per CPU s", "first token", "dispatches", "submits")
	for _, p := range r.Prefill {
		row(fmt.Sprintf("prefill %d", p.Tokens), figure(p.Rate.Min), figure(p.Rate.Median), figure(p.Rate.Max), cpuFigure(r, p.PerCPU),
			seconds(p.Seconds.Median), p.Dispatches, p.Submits)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	row("", "tok/s min", "median", "max", "per CPU s", "MB/pass", "GB/s", "share", "dispatches", "submits", "bytes back")
	for _, d := range r.Decode {
		name := fmt.Sprintf("decode at %d", d.Depth)
		if d.Sessions > 1 {
			name += fmt.Sprintf(", %d sessions", d.Sessions)
		}
		row(name, figure(d.Rate.Min), figure(d.Rate.Median), figure(d.Rate.Max), cpuFigure(r, d.PerCPU), figure(float64(d.Reads)/1e6),
			figure(d.Speed/1e9), fmt.Sprintf("%.0f %%", 100*d.Share), figure(d.Dispatches), figure(d.Submits), figure(d.Read))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var lines string
	for _, d := range r.Decode {
		if s := d.Together; s.Median > 0 {
			lines += fmt.Sprintf("%d sessions at once: %s times the tokens a second of one (%s to %s)\n", d.Sessions, figure(s.Median), figure(s.Min), figure(s.Max))
		}
		if s := d.Lost; d.Explained > 0 {
			lines += fmt.Sprintf("a depth of %d costs %s ms a token (%s to %s), of which its bytes explain %s\n", d.Depth,
				figure(1e3*s.Median), figure(1e3*s.Min), figure(1e3*s.Max), figure(1e3*d.Explained))
		}
	}
	if lines != "" {
		fmt.Fprint(out, "\n", lines)
	}
	if t := r.Turn; t != nil {
		fmt.Fprintf(out, "\na tool's result of %d tokens after %d: next token in %s; %d tokens reused, %d computed\n",
			t.New, t.Before, seconds(t.Seconds.Median), t.Reused, t.Prefilled)
	}
	return writeProfiles(out, r.Profile)
}

// startLine says what there was to wait for before the first token.
func startLine(s speed.Start) string {
	text := "opened in " + seconds(s.Open)
	if s.Process > 0 {
		text = "opened " + seconds(s.Process) + " after the process began"
	}
	if s.Upload > 0 {
		text += ", " + seconds(s.Upload) + " of that to copy the weights"
	}
	return text + "; first pass " + seconds(s.First) + ", second " + seconds(s.Second)
}

// writeProfiles prints where the time goes, the most first within each section of
// the model.
func writeProfiles(out io.Writer, all []speed.Profile) error {
	for _, p := range all {
		total := 0.0
		for _, x := range p.Places {
			total += x.Seconds
		}
		fmt.Fprintf(out, "\n%s of %d tokens, %s in kernels\n", p.Work, p.Tokens, seconds(total))
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "SECTION\tOPERATION\tKERNEL\tRUNS\tms/token\tSHARE\tOPERATION IN ALL")
		for _, x := range p.Places {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%.3f\t%.1f %%\t%s\n", x.Section, x.Operation, x.Kernel, x.Runs,
				1e3*x.Seconds/float64(p.Tokens), 100*x.Seconds/total, operationSpeed(p, x))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// operationSpeed is what an operation reads, or in a prefill multiplies and adds, a
// second, in all its kernels; nothing where that is next to nothing.
func operationSpeed(p speed.Profile, of speed.Place) string {
	took := 0.0
	for _, x := range p.Places {
		if x.Section == of.Section && x.Operation == of.Operation {
			took += x.Seconds
		}
	}
	switch {
	case took == 0 || of.Products == 0:
		return ""
	case p.Work == "prefill":
		return figure(2*float64(of.Products)/took/1e9) + " GFLOP/s"
	}
	return figure(float64(of.Reads)/took/1e9) + " GB/s"
}

// figure writes a number with three digits that count.
func figure(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

func seconds(s float64) string {
	if s < 0.01 {
		return fmt.Sprintf("%.2f ms", 1e3*s)
	}
	return span(time.Duration(s * float64(time.Second)))
}

// cpuFigure is a rate per CPU second, where the CPU is what computes.
func cpuFigure(r *speed.Result, s speed.Spread) string {
	if !r.TimedCPU || s.Median == 0 {
		return "-"
	}
	return figure(s.Median)
}
