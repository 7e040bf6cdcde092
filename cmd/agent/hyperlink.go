package main

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// showsLinks reports whether a terminal shows OSC 8 hyperlinks, by the variables
// that terminals set. One that is not known gets the plain address, which most of
// them make clickable themselves.
func showsLinks(getenv func(string) string) bool {
	if v, err := strconv.Atoi(getenv("VTE_VERSION")); err == nil && v >= 5000 {
		return true // GNOME Terminal and its kin; before that they crashed on it
	}
	for _, name := range []string{"KITTY_WINDOW_ID", "WT_SESSION", "KONSOLE_VERSION", "DOMTERM", "GHOSTTY_RESOURCES_DIR"} {
		if getenv(name) != "" {
			return true
		}
	}
	programs := []string{"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby", "rio", "WarpTerminal", "zed"}
	if slices.Contains(programs, getenv("TERM_PROGRAM")) {
		return true
	}
	kind := getenv("TERM")
	return slices.ContainsFunc([]string{"kitty", "alacritty", "foot", "ghostty", "contour", "wezterm"}, func(s string) bool { return strings.Contains(kind, s) })
}

// hyperlink is a text that leads to an address, if that is one of the web. What
// would end the sequence or steer the terminal is escaped in the address.
func hyperlink(address, text string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return text
	}
	var b strings.Builder
	for _, c := range []byte(u.String()) {
		if c <= ' ' || c >= 0x7f {
			b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(c)|0x100, 16)[1:]))
			continue
		}
		b.WriteByte(c)
	}
	return "\x1b]8;;" + b.String() + "\x1b\\" + text + "\x1b]8;;\x1b\\"
}
