package harmony

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// text renders the section that declares the tools, the way openai-harmony
// does; its quirks are what the models were trained on.
func (t Tools) text(d Dialect) (string, error) {
	sections := []string{"# Tools"}
	for _, key := range t.keys() {
		ns := t[key]
		s, err := ns.text(d)
		if err != nil {
			return "", err
		}
		sections = append(sections, s)
	}
	return strings.Join(sections, "\n\n"), nil
}

// keys returns the keys in byte order.
func (t Tools) keys() []string { return slices.Sorted(maps.Keys(t)) }

func (ns *Namespace) text(d Dialect) (string, error) {
	out := []string{"## " + ns.Name + "\n"}
	comment := ""
	if len(ns.Functions) > 0 {
		comment = "// "
	}
	for line := range lines(ns.Description) {
		out = append(out, comment+line)
	}
	if len(ns.Functions) == 0 {
		return strings.Join(out, "\n"), nil
	}
	out = append(out, "namespace "+ns.Name+" {\n")
	for _, f := range ns.Functions {
		for line := range lines(f.Description) {
			out = append(out, "// "+line)
		}
		params, err := f.parameterType(d)
		if err != nil {
			return "", fmt.Errorf("tool %s.%s: parameters: %w", ns.Name, f.Name, err)
		}
		out = append(out, "type "+f.Name+" = ("+params+") => any;\n")
	}
	out = append(out, "} // namespace "+ns.Name)
	return strings.Join(out, "\n"), nil
}

// lines yields the lines of s without their ends, LF or CR LF, and without a
// last empty one.
func lines(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(s) {
			if cut, ok := strings.CutSuffix(line, "\n"); ok {
				line = strings.TrimSuffix(cut, "\r")
			}
			if !yield(line) {
				return
			}
		}
	}
}

// parameterType returns what stands between the parentheses of a function type.
func (f *Function) parameterType(d Dialect) (string, error) {
	if len(f.Parameters) == 0 || string(f.Parameters) == "null" {
		return "", nil
	}
	schema, err := readJSON(f.Parameters)
	if err != nil {
		return "", err
	}
	w := typeWriter{dialect: d}
	w.schema(&schema, "")
	return "_: " + w.String(), nil
}

// typeWriter writes a JSON Schema as a TypeScript-like type.
type typeWriter struct {
	strings.Builder
	dialect Dialect
}

func (w *typeWriter) schema(schema *jsonValue, indent string) {
	if variants := schema.get("oneOf"); variants.is(jsonArray) {
		for i := range variants.items {
			w.WriteString("\n" + indent + " | ")
			w.variant(&variants.items[i], indent)
			w.trailing(&variants.items[i], variants.items[i].get("description"), false)
		}
		return
	}
	kind := schema.get("type")
	if kind.is(jsonArray) {
		if names := typeNames(kind); len(names) > 0 {
			w.WriteString(strings.Join(names, " | "))
			return
		}
	}
	if !kind.is(jsonString) {
		w.WriteString("any")
		return
	}
	switch kind.text {
	case "object":
		w.object(schema, indent)
	case "string":
		w.WriteString(stringType(schema))
	case "number", "integer":
		w.WriteString("number")
	case "boolean":
		w.WriteString("boolean")
	case "array":
		if items := schema.get("items"); items != nil {
			w.schema(items, indent)
			w.WriteString("[]")
		} else {
			w.WriteString("Array<any>")
		}
	default:
		w.WriteString("any")
	}
}

// typeNames returns the names of a type that is a list.
func typeNames(list *jsonValue) (names []string) {
	for _, t := range list.items {
		switch {
		case t.kind != jsonString:
		case t.text == "integer":
			names = append(names, "number")
		default:
			names = append(names, t.text)
		}
	}
	return names
}

// stringType is the union of a string's enum values, unescaped.
func stringType(schema *jsonValue) string {
	var values []string
	if enum := schema.get("enum"); enum.is(jsonArray) {
		for _, v := range enum.items {
			if v.kind == jsonString {
				values = append(values, `"`+v.text+`"`)
			}
		}
	}
	if len(values) == 0 {
		return "string"
	}
	return strings.Join(values, " | ")
}

func (w *typeWriter) object(schema *jsonValue, indent string) {
	w.comment(indent, schema.get("description"))
	w.WriteString("{\n")
	if props := schema.get("properties"); props.is(jsonObject) {
		required := requiredKeys(schema)
		for _, p := range props.unique() {
			mark := "?"
			if required[p.key] {
				mark = ""
			}
			w.property(p.key+mark, &p.value, indent)
		}
	}
	w.WriteString(indent + "}")
}

func requiredKeys(schema *jsonValue) map[string]bool {
	keys := map[string]bool{}
	if list := schema.get("required"); list.is(jsonArray) {
		for _, v := range list.items {
			if v.kind == jsonString {
				keys[v.text] = true
			}
		}
	}
	return keys
}

// property writes a property with its comments. Name carries the mark of
// an optional one.
func (w *typeWriter) property(name string, p *jsonValue, indent string) {
	if title := p.get("title"); title.is(jsonString) {
		w.WriteString(indent + "// " + title.text + "\n" + indent + "//\n")
	}
	oneOf := p.get("oneOf")
	if oneOf == nil {
		w.comment(indent, p.get("description"))
	}
	if examples := p.get("examples"); examples.is(jsonArray) && len(examples.items) > 0 {
		w.WriteString(indent + "// Examples:\n")
		for _, e := range examples.items {
			if e.kind == jsonString {
				w.WriteString(indent + `// - "` + e.text + "\"\n")
			}
		}
	}
	if oneOf.is(jsonArray) {
		w.oneOf(name, p, oneOf.items, indent)
		return
	}
	w.WriteString(indent + name + ": ")
	w.nullable(p, indent+"    ")
	w.WriteByte(',')
	if def := p.get("default"); def != nil && oneOf == nil {
		w.WriteString(" // " + w.defaultText(p, def, true))
	}
	w.WriteByte('\n')
}

// oneOf writes a property that is one of several types, each on a line.
func (w *typeWriter) oneOf(name string, p *jsonValue, variants []jsonValue, indent string) {
	about := p.get("description")
	above := about.is(jsonString) && !(len(variants) > 0 && sameText(variants[0].get("description"), about))
	if above {
		w.comment(indent, about)
	}
	if def := p.get("default"); def != nil {
		w.WriteString(indent + "// " + w.defaultText(p, def, true) + "\n")
	}
	w.WriteString(indent + name + ":\n")
	for i := range variants {
		v := &variants[i]
		w.WriteString(indent + " | ")
		w.variant(v, indent)
		comment := v.get("description")
		if i == 0 && above || sameText(comment, about) {
			comment = nil
		}
		w.trailing(v, comment, true)
		w.WriteByte('\n')
	}
	w.WriteString(indent + ",\n")
}

func sameText(a, b *jsonValue) bool {
	return a.is(jsonString) && b.is(jsonString) && a.text == b.text
}

func (w *typeWriter) variant(v *jsonValue, indent string) {
	w.nullable(v, indent+"   ")
}

// nullable writes the type and adds null, unless the letters are somewhere
// in it already.
func (w *typeWriter) nullable(schema *jsonValue, indent string) {
	start := w.Len()
	w.schema(schema, indent)
	nullable := schema.get("nullable")
	if nullable.is(jsonBool) && nullable.text == "true" && !strings.Contains(w.String()[start:], "null") {
		w.WriteString(" | null")
	}
}

// trailing writes a variant's comment and default behind it.
func (w *typeWriter) trailing(v, comment *jsonValue, bareEnum bool) {
	var notes []string
	if comment.is(jsonString) {
		notes = append(notes, comment.text)
	}
	if def := v.get("default"); def != nil {
		notes = append(notes, w.defaultText(v, def, bareEnum))
	}
	if len(notes) > 0 {
		w.WriteString(" // " + strings.Join(notes, " "))
	}
}

func (w *typeWriter) comment(indent string, text *jsonValue) {
	if text.is(jsonString) {
		w.WriteString(indent + "// " + text.text + "\n")
	}
}

// defaultText prints a default: a string in quotes but unescaped, or bare if the
// schema has an enum; anything else, and with bareEnum false the string of an
// enum too, as JSON.
func (w *typeWriter) defaultText(schema, def *jsonValue, bareEnum bool) string {
	if def.kind == jsonString {
		enum := schema.get("enum")
		switch hasEnum := enum.is(jsonArray) && len(enum.items) > 0; {
		case !hasEnum:
			return `default: "` + def.text + `"`
		case bareEnum:
			return "default: " + def.text
		}
	}
	var b strings.Builder
	b.WriteString("default: ")
	def.compact(&b, w.dialect)
	return b.String()
}
