package functions

import (
	"fmt"
	"slices"
	"strings"

	"chorale/internal/secret"
)

// template is a text with places for arguments and secrets. What an argument
// holds is never read as a template itself.
type template []piece

// piece is one of the three.
type piece struct{ literal, argument, secret string }

// parseTemplate reads a text. An argument that stands alone may be optional; the
// text is then left out where it is missing.
func parseTemplate(text string, s *schema, secrets map[string]secret.Source) (template, error) {
	var t template
	rest := 0
	matches := placeholderPattern.FindAllStringSubmatchIndex(text, -1)
	for _, m := range matches {
		name := text[m[2]:m[3]]
		if rest < m[0] {
			t = append(t, piece{literal: text[rest:m[0]]})
		}
		rest = m[1]
		if known, ok := strings.CutPrefix(name, "secret."); ok {
			if _, ok := secrets[known]; !ok {
				return nil, fmt.Errorf("{{%s}} is not among the file's secrets", name)
			}
			t = append(t, piece{secret: known})
			continue
		}
		if alone := m[0] == 0 && m[1] == len(text); alone {
			if _, ok := s.properties[name]; !ok {
				return nil, fmt.Errorf("placeholder {{%s}} names no argument of parameters", name)
			}
		} else if err := s.fits(name); err != nil {
			return nil, err
		}
		t = append(t, piece{argument: name})
	}
	if rest < len(text) {
		t = append(t, piece{literal: text[rest:]})
	}
	for _, p := range t {
		if strings.Contains(p.literal, "{{") {
			return nil, fmt.Errorf("a placeholder in %q does not end", text)
		}
	}
	return t, nil
}

// alone is the argument that is all of the template.
func (t template) alone() (name string, ok bool) {
	if len(t) == 1 && t[0].argument != "" {
		return t[0].argument, true
	}
	return "", false
}

func (t template) secret() bool {
	return slices.ContainsFunc(t, func(p piece) bool { return p.secret != "" })
}

// expand is the text for a call. spell writes an argument as its place wants it.
func (t template) expand(values map[string]any, secrets secret.Values, spell func(string) (string, error)) (string, error) {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.literal)
		if p.secret != "" {
			b.WriteString(secrets.Get(p.secret))
		}
		if p.argument == "" {
			continue
		}
		text, _ := scalarText(values[p.argument])
		text, err := spell(text)
		if err != nil {
			return "", fmt.Errorf("invalid arguments: %s: %w", p.argument, err)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}
