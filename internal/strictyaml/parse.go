package strictyaml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Kind is the kind of a value.
type Kind uint8

// The kinds that a document is made of.
const (
	Null Kind = iota
	Bool
	Number
	String
	Sequence
	Mapping
)

var kindNames = [...]string{"null", "bool", "number", "string", "sequence", "mapping"}

func (k Kind) String() string { return kindNames[k] }

// node is a value of the document, free of the YAML library.
type node struct {
	kind         Kind
	text         string // of a scalar
	line, column int
	items        []*node // of a sequence
	entries      []entry // of a mapping, in the file's order
}

type entry struct{ key, value *node }

func (n *node) describe() string {
	switch n.kind {
	case Null:
		return "nothing"
	case Sequence, Mapping:
		return "a " + n.kind.String()
	case Bool:
		return n.text
	case Number:
		return "number " + clip(n.text)
	}
	return fmt.Sprintf("%q", clip(n.text))
}

// find is the value of a key, or nil.
func (n *node) find(key string) *node {
	for _, e := range n.entries {
		if e.key.text == key {
			return e.value
		}
	}
	return nil
}

// json is the value as JSON with the file's key order.
func (n *node) json() json.RawMessage {
	var b bytes.Buffer
	n.writeJSON(&b)
	return b.Bytes()
}

func (n *node) writeJSON(b *bytes.Buffer) {
	switch n.kind {
	case Null:
		b.WriteString("null")
	case Bool:
		b.WriteString(strings.ToLower(n.text))
	case Number:
		b.WriteString(jsonNumber(n.text))
	case String:
		writeString(b, n.text)
	case Sequence:
		b.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.writeJSON(b)
		}
		b.WriteByte(']')
	case Mapping:
		b.WriteByte('{')
		for i, e := range n.entries {
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(b, e.key.text)
			b.WriteByte(':')
			e.value.writeJSON(b)
		}
		b.WriteByte('}')
	}
}

func writeString(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	b.Truncate(b.Len() - 1)
}

const (
	// The library's parser takes time quadratic in the number of keys; this
	// many tokens take about a second at worst.
	maxTokens = 30_000
	maxDepth  = 64
)

// parse reads d.src. A nil node means that d.errs says why.
func (d *decoder) parse() (root *node) {
	d.src = bytes.TrimPrefix(d.src, []byte("\ufeff"))
	// The library folds quoted text wrongly at CRLF.
	d.src = bytes.ReplaceAll(d.src, []byte("\r\n"), []byte("\n"))
	if !d.sane() {
		return nil
	}
	defer func() {
		// The document is outside text and the parser is not ours: whatever
		// it panics over is a bad document, not a reason to crash.
		if r := recover(); r != nil {
			root = nil
			d.failAt(1, 1, "", fmt.Sprintf("cannot be read as YAML (%v)", r))
		}
	}()
	tokens := lexer.Tokenize(string(d.src))
	if !d.plain(tokens) {
		return nil
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // found by convert, with better words
	if err != nil {
		d.syntax(err)
		return nil
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		d.failAt(1, 1, "", "the document is empty")
		return nil
	}
	root = d.convert(f.Docs[0].Body, "", 0)
	if len(d.errs) > 0 {
		return nil
	}
	return root
}

func (d *decoder) sane() bool {
	if len(d.src) > MaxSize {
		d.failAt(1, 1, "", fmt.Sprintf("larger than %d bytes", MaxSize))
		return false
	}
	line, column := 1, 1
	for i := 0; i < len(d.src); {
		r, size := utf8.DecodeRune(d.src[i:])
		if r == utf8.RuneError && size == 1 {
			d.failAt(line, column, "", "not UTF-8 text")
			return false
		}
		if (r < ' ' && r != '\t' && r != '\n') || r == 0x7f {
			d.failAt(line, column, "", fmt.Sprintf("control character %U; write it as an escape in double quotes", r))
			return false
		}
		i, column = i+size, column+1
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return true
}

// refused are the parts of YAML that make a file mean other than it shows.
var refused = map[token.Type]string{
	token.AnchorType:     "anchors are not supported; write the value out",
	token.AliasType:      "aliases are not supported; write the value out",
	token.TagType:        "tags are not supported",
	token.MergeKeyType:   "merge keys are not supported; write the keys out",
	token.DirectiveType:  "directives are not supported",
	token.MappingKeyType: "\"? \" keys are not supported; write key: value",
}

// plain checks, before the recursive parser sees them, that the tokens keep to
// the supported subset and are not nested without end.
func (d *decoder) plain(tokens token.Tokens) bool {
	fail := func(t *token.Token, msg string) bool {
		d.failAt(t.Position.Line, t.Position.Column, "", msg)
		return false
	}
	if len(tokens) == 0 {
		d.failAt(1, 1, "", "the document is empty")
		return false
	}
	if len(tokens) > maxTokens {
		return fail(tokens[maxTokens], fmt.Sprintf("more than %d tokens", maxTokens))
	}
	flow, dashes, colons, line, started, ended := 0, 0, 0, 0, false, false
	for _, t := range tokens {
		if msg, ok := refused[t.Type]; ok {
			return fail(t, msg)
		}
		if t.Position.Line != line {
			line, dashes, colons = t.Position.Line, 0, 0
		}
		switch t.Type {
		case token.CommentType:
			continue
		case token.DocumentHeaderType:
			if started {
				return fail(t, "a second document; a file holds one")
			}
		case token.DocumentEndType:
			ended = true
			continue
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType:
			dashes++
		case token.MappingValueType:
			if flow <= 0 {
				colons++
			} else if tight(t) {
				return fail(t, "a \":\" within [] or {} needs a space after it, or quotes around the text")
			}
		}
		if ended {
			return fail(t, "a second document; a file holds one")
		}
		if flow > maxDepth || dashes > maxDepth || colons > maxDepth {
			return fail(t, "nested too deeply")
		}
		started = true
	}
	return true
}

// tight reports whether the colon stands within plain text, as in [x:y]. The
// library takes that for a mapping if it stands within {}; by YAML 1.2 it is text.
func tight(colon *token.Token) bool {
	next := colon.Next
	if next == nil || next.Position.Line != colon.Position.Line || next.Position.Column != colon.Position.Column+1 {
		return false
	}
	switch colon.PreviousType() {
	case token.SingleQuoteType, token.DoubleQuoteType, token.SequenceEndType, token.MappingEndType:
		return false // {"a":1} is JSON
	}
	switch next.Type {
	case token.SequenceStartType, token.SequenceEndType, token.MappingStartType, token.MappingEndType, token.CollectEntryType:
		return false
	}
	return true
}

func (d *decoder) syntax(err error) {
	var se yaml.Error
	if errors.As(err, &se) && se.GetToken() != nil {
		p := se.GetToken().Position
		d.failAt(p.Line, p.Column, "", se.GetMessage())
		return
	}
	d.failAt(1, 1, "", err.Error())
}

// convert turns the library's tree into ours and refuses repeated keys.
func (d *decoder) convert(n ast.Node, path string, depth int) *node {
	pos := n.GetToken().Position
	out := &node{line: pos.Line, column: pos.Column}
	if depth > maxDepth {
		d.fail(out, "", "nested too deeply")
		return out
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		d.convertMapping(out, n.Values, n.IsFlowStyle, path, depth)
	case *ast.MappingValueNode:
		d.convertMapping(out, []*ast.MappingValueNode{n}, false, path, depth)
	case *ast.SequenceNode:
		out.kind = Sequence
		for i, v := range n.Values {
			out.items = append(out.items, d.convert(v, fmt.Sprintf("%s[%d]", path, i), depth+1))
		}
	case *ast.LiteralNode:
		out.kind, out.text = String, n.Value.Value
	case *ast.StringNode:
		out.kind, out.text = String, n.Value
		if n.Token.Type != token.SingleQuoteType && n.Token.Type != token.DoubleQuoteType {
			out.kind = resolve(n.Value)
		}
	default:
		out.text = n.GetToken().Value
		out.kind = resolve(out.text)
	}
	return out
}

func (d *decoder) convertMapping(out *node, values []*ast.MappingValueNode, flow bool, path string, depth int) {
	out.kind = Mapping
	seen := make(map[string]*node, len(values))
	for _, v := range values {
		key := d.convert(v.Key, path, depth+1)
		if key.kind != String {
			d.fail(key, path, "a key must be a string, got %s; put it in quotes", key.describe())
		}
		at := join(path, key.text)
		if first := seen[key.text]; first != nil {
			d.fail(key, "", "key %q is repeated; it stands first in line %d", clip(key.text), first.line)
		}
		seen[key.text] = key
		out.entries = append(out.entries, entry{key, d.convert(v.Value, at, depth+1)})
	}
	if !flow && len(out.entries) > 0 { // the library gives the colon's position
		out.line, out.column = out.entries[0].key.line, out.entries[0].key.column
	}
}

func join(path, key string) string {
	if path == "" {
		return clip(key)
	}
	return path + "." + clip(key)
}
