package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// span is a duration as people say it.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + show(reason)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// shortPath is path relative to the working directory where it lies below it.
func shortPath(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// parseSet reads name=value pairs.
func parseSet(pairs []string) (map[string]string, error) {
	values := map[string]string{}
	for _, p := range pairs {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--set %q: write name=value", p)
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("--set %s is given twice", name)
		}
		values[name] = value
	}
	return values, nil
}
