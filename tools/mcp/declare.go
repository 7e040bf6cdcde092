package mcp

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"chorale/tools/functions"
)

// Declaration is one tool of a server, as the model would see it.
type Declaration struct {
	Server      string          // of the task
	Tool        string          // as the server calls it
	Function    string          // as the model calls it: server_tool
	Description string          // cleaned
	Parameters  json.RawMessage // cleaned
	Hash        string          // of what the server said, before it was cleaned

	schema json.RawMessage             // the parameters as the server wrote them
	gives  func(json.RawMessage) error // refuses a structured result that is not as declared; nil: none is declared
}

// What a declaration may take of the prompt.
const (
	maxDescription = 1024
	maxProperty    = 300 // of a parameter
	maxParameters  = 8 << 10
	maxDepth       = 6
	maxName        = 64
)

// declare reads what a server says of a tool. In order, if it is not nil, is the
// schema that knows the order of its keys.
func declare(server string, t *sdk.Tool, inOrder map[string]any) (Declaration, error) {
	d := Declaration{Server: server, Tool: t.Name, Function: functionName(server, t.Name)}
	var err error
	if d.schema, err = json.Marshal(t.InputSchema); err != nil {
		return d, err
	}
	d.Hash, err = fingerprint(t)
	if err != nil {
		return d, err
	}
	if d.gives, err = results(t); err != nil {
		return d, fmt.Errorf("its results' schema: %w", err)
	}
	d.Description = words(cmp.Or(t.Description, t.Title), maxDescription, true)
	root, ok := t.InputSchema.(map[string]any)
	if !ok || root["type"] != "object" {
		return d, fmt.Errorf("its parameters are no object")
	}
	if inOrder != nil {
		root = inOrder
	}
	p := painter{root: root}
	d.Parameters = json.RawMessage(p.schema(root, 0))
	switch {
	case p.err != nil:
		return d, p.err
	case len(d.Parameters) > maxParameters:
		return d, fmt.Errorf("its parameters take %d bytes of the prompt; %d are the most", len(d.Parameters), maxParameters)
	}
	return d, nil
}

// results is what a tool declares of its structured results.
func results(t *sdk.Tool) (func(json.RawMessage) error, error) {
	if t.OutputSchema == nil {
		return nil, nil
	}
	raw, err := json.Marshal(t.OutputSchema)
	if err != nil {
		return nil, err
	}
	return functions.ForeignCheck(raw)
}

// fingerprint is the hash of everything that a server says of a tool and that
// a model could be told. Two spellings of one JSON value have one hash.
func fingerprint(t *sdk.Tool) (string, error) {
	b, err := json.Marshal([]any{t.Name, t.Title, t.Description, t.InputSchema, t.OutputSchema})
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:]), err
}

var illegal = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// functionName is a legal name of a function for a tool. A name that is too
// long is cut, and keeps apart by its hash.
func functionName(server, tool string) string {
	name := server + "_" + illegal.ReplaceAllString(tool, "_")
	if len(name) > maxName {
		sum := sha256.Sum256([]byte(tool))
		name = name[:maxName-9] + "_" + hex.EncodeToString(sum[:4])
	}
	return name
}

// words is outside text as plain words: without control characters, characters
// that show nothing or turn the direction of writing, and marks that look like
// the model's control tokens. lines keeps the ends of lines.
func words(text string, limit int, lines bool) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' && lines:
			b.WriteRune(r)
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Variation_Selector):
		default:
			b.WriteRune(r)
		}
	}
	clean := strings.NewReplacer("<|", "< ", "|>", " >").Replace(b.String())
	if !lines {
		clean = strings.Join(strings.Fields(clean), " ")
	}
	clean = strings.TrimSpace(clean)
	if len(clean) > limit {
		clean = strings.ToValidUTF8(clean[:limit], "") + "…"
	}
	return clean
}

// painter writes the schema that the model sees: the keywords that the prompt
// shows, with the required properties first. What the prompt would print as it
// is, must be plain.
type painter struct {
	root  map[string]any
	nodes int // that were written
	err   error
}

// maxNodes bounds what references can unfold into.
const maxNodes = 500

func (p *painter) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

func (p *painter) schema(v any, depth int) string {
	node, _ := v.(map[string]any)
	if ref, ok := node["$ref"].(string); ok {
		node = p.resolve(ref, node)
	}
	if p.nodes++; p.nodes > maxNodes {
		p.fail("its parameters are too many")
	}
	if depth > maxDepth || p.err != nil {
		return "{}"
	}
	var parts []string
	put := func(key, value string) { parts = append(parts, quote(key)+":"+value) }
	if t := typeOf(node["type"]); t != "" {
		put("type", t)
	}
	for _, key := range []string{"title", "description"} {
		if text, ok := node[key].(string); ok && depth > 0 { // the tool's own description stands above
			put(key, quote(words(text, maxProperty, false)))
		}
	}
	if names := enum(node["enum"]); names != "" {
		put("enum", names)
	}
	if d, ok := plain(node["default"]); ok {
		put("default", d)
	}
	if node["nullable"] == true {
		put("nullable", "true")
	}
	if items, ok := node["items"]; ok {
		put("items", p.schema(items, depth+1))
	}
	if variants, ok := node["oneOf"].([]any); ok {
		var all []string
		for _, variant := range variants {
			all = append(all, p.schema(variant, depth+1))
		}
		put("oneOf", "["+strings.Join(all, ",")+"]")
	}
	if properties, ok := node["properties"].(map[string]any); ok {
		body, required := p.properties(properties, stringsOf(node["required"]), depth)
		put("properties", body)
		if required != "" {
			put("required", required)
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// resolve finds a part of the same document. Whatever else a reference names
// stays open: the model sees a value of any type.
func (p *painter) resolve(ref string, self map[string]any) map[string]any {
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil
	}
	at := p.root
	for step := range strings.SplitSeq(path, "/") {
		at, ok = at[step].(map[string]any)
		if !ok {
			return nil
		}
	}
	if _, again := at["$ref"]; again {
		return nil
	}
	out := maps.Clone(at)
	if text, ok := self["description"]; ok {
		out["description"] = text
	}
	return out
}

var propertyName = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$.-]{0,63}$`)

func (p *painter) properties(all map[string]any, required []string, depth int) (body, names string) {
	var first, rest []string
	for _, name := range keysOf(all) {
		if slices.Contains(required, name) {
			first = append(first, name)
		} else {
			rest = append(rest, name)
		}
	}
	var parts, must []string
	for _, name := range append(slices.Clone(first), rest...) {
		if !propertyName.MatchString(name) {
			p.fail("its parameter %q has no plain name", clip(name))
			return "{}", ""
		}
		parts = append(parts, quote(name)+":"+p.schema(all[name], depth+1))
	}
	for _, name := range first {
		must = append(must, quote(name))
	}
	if must != nil {
		names = "[" + strings.Join(must, ",") + "]"
	}
	return "{" + strings.Join(parts, ",") + "}", names
}

// typeOf is the keyword type, where it names types.
func typeOf(v any) string {
	known := []string{"array", "boolean", "integer", "null", "number", "object", "string"}
	names := stringsOf(v)
	if len(names) == 0 || slices.ContainsFunc(names, func(s string) bool { return !slices.Contains(known, s) }) {
		return ""
	}
	if _, one := v.(string); one {
		return quote(names[0])
	}
	text, _ := json.Marshal(names)
	return string(text)
}

// maxEnum bounds the values that are shown; the server checks all.
const maxEnum = 50

// enum is the list of values, if all are short plain words: the prompt prints
// them between quotation marks as they are.
func enum(v any) string {
	list, _ := v.([]any)
	var out []string
	for _, item := range list {
		text, ok := item.(string)
		if !ok || len(text) > 64 || text != words(text, 64, false) || strings.ContainsAny(text, "\"\\") {
			return ""
		}
		out = append(out, quote(text))
	}
	if out == nil || len(out) > maxEnum {
		return ""
	}
	return "[" + strings.Join(out, ",") + "]"
}

// plain is a default that can be shown: a number, a boolean, or a short text.
func plain(v any) (string, bool) {
	switch v := v.(type) {
	case bool, float64, json.Number:
		text, err := json.Marshal(v)
		return string(text), err == nil
	case string:
		return quote(v), len(v) <= 64 && v == words(v, 64, false) && !strings.ContainsAny(v, "\"\\")
	}
	return "", false
}

// stringsOf is v if it is a list of strings, or the one string that it is.
func stringsOf(v any) []string {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	list, _ := v.([]any)
	var out []string
	for _, item := range list {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// quote writes a JSON string as a model reads it, without \u003c for <.
func quote(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always can be
	return strings.TrimSuffix(b.String(), "\n")
}

// clip shortens outside text for a message.
func clip(s string) string { return words(s, 80, false) }
