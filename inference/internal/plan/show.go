package plan

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"chorale/inference/internal/graph"
)

// GB writes a number of bytes as people say it; a gigabyte is 1e9 bytes.
func GB(n int64) string {
	switch {
	case n < 1e6:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func expertsName(layers int) string { return "experts of " + plural(layers, "layer") }

func cacheName(sessions, context int, kv graph.KVType) string {
	return fmt.Sprintf("KV cache, %s of %d in %v", plural(sessions, "session"), context, kv)
}

// bar is how many characters a full bar has.
const bar = 40

// Write prints the plan as a table, with a bar for each memory.
func (p *Plan) Write(to io.Writer) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	cell := func(i Item, place Place) string {
		if i.Place != place {
			return ""
		}
		return GB(i.Bytes)
	}
	row := func(name, device, host string) {
		if p.Device != "" {
			fmt.Fprintf(t, "%-40s\t%s\t%s\t\n", name, device, host)
		} else {
			fmt.Fprintf(t, "%-40s\t%s\t\n", name, host)
		}
	}
	row("", "device", "host")
	for _, i := range p.Items {
		row(i.Name, cell(i, OnDevice), cell(i, OnHost))
	}
	row("in all", GB(p.DeviceBytes), GB(p.HostBytes))
	if err := t.Flush(); err != nil {
		return err
	}
	var text strings.Builder
	text.WriteByte('\n')
	if p.Device != "" {
		use(&text, "device", p.DeviceBytes, p.DeviceLimit)
	}
	host := "host"
	if p.Shared {
		host = "both" // they share the memory
	}
	use(&text, host, p.hostNeed(), p.HostLimit)
	if n := p.Layers - p.DeviceLayers; p.Device != "" && n > 0 {
		fmt.Fprintf(&text, "\nThe experts of %s are computed on the CPU: %s has no room for them.\n", plural(n, "layer"), p.Device)
	}
	_, err := io.WriteString(to, text.String())
	return err
}

// use writes how much of a limit is taken.
func use(to *strings.Builder, name string, used, limit int64) {
	if limit <= 0 {
		fmt.Fprintf(to, "%-7s %s, limit unknown\n", name, GB(used))
		return
	}
	full := min(int(used*bar/limit), bar)
	fmt.Fprintf(to, "%-7s [%s%s] %s of %s\n", name, strings.Repeat("#", full), strings.Repeat(".", bar-full), GB(used), GB(limit))
}
