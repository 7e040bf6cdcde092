package constrain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"chorale/harmony"
)

var o200k = sync.OnceValue(func() *Vocabulary {
	v, err := NewVocabulary(harmony.O200kHarmony())
	if err != nil {
		panic(err)
	}
	return v
})

// schemaCase is a line of schemas.jsonl. The documents keep their spelling.
type schemaCase struct {
	Name    string            `json:"name"`
	Class   string            `json:"class"`
	Schema  json.RawMessage   `json:"schema"`
	Valid   []json.RawMessage `json:"valid"`
	Invalid []json.RawMessage `json:"invalid"`
}

// schemaTrees returns the cases of testdata and of the trees of AGENT_VECTORS.
func schemaTrees(t testing.TB) map[string][]schemaCase {
	t.Helper()
	out := map[string][]schemaCase{}
	trees := append([]string{"testdata"}, filepath.SplitList(os.Getenv("AGENT_VECTORS"))...)
	for _, tree := range trees {
		if tree == "" {
			continue
		}
		files := 0
		for depth := range 4 {
			found, err := filepath.Glob(filepath.Join(tree, strings.Repeat("*/", depth), "schemas/*.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range found {
				files++
				out[file] = readCases(t, file)
			}
		}
		if files == 0 {
			t.Errorf("%s holds nothing that this package understands: no schemas/*.jsonl", tree)
		}
	}
	return out
}

func readCases(t testing.TB, file string) []schemaCase {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []schemaCase
	for i, line := range bytes.Split(data, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var c schemaCase
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatalf("%s:%d: %v", file, i+1, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		t.Fatalf("%s has no cases", file)
	}
	return out
}

// compact prints a document as the corpus wants it fed: no blanks, characters
// raw but for those that must be escaped, in their short forms.
func compact(t testing.TB, doc json.RawMessage) string {
	t.Helper()
	var b strings.Builder
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	if err := writeCompact(&b, d); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return b.String()
}

func writeCompact(b *strings.Builder, d *json.Decoder) error {
	tok, err := d.Token()
	if err != nil {
		return err
	}
	switch v := tok.(type) {
	case json.Delim:
		b.WriteString(v.String())
		for i := 0; d.More(); i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			if v == '{' {
				if err := writeCompact(b, d); err != nil {
					return err
				}
				b.WriteByte(':')
			}
			if err := writeCompact(b, d); err != nil {
				return err
			}
		}
		end, err := d.Token()
		if err != nil {
			return err
		}
		b.WriteString(fmt.Sprint(end))
	case string:
		b.WriteByte('"')
		for _, r := range v {
			switch i := strings.IndexRune("\"\\\b\f\n\r\t", r); {
			case i >= 0:
				b.WriteByte('\\')
				b.WriteByte("\"\\bfnrt"[i])
			case r < 0x20:
				fmt.Fprintf(b, `\u%04x`, r)
			default:
				b.WriteRune(r)
			}
		}
		b.WriteByte('"')
	case nil:
		b.WriteString("null")
	default:
		fmt.Fprint(b, v)
	}
	return nil
}

// accepts feeds the text's tokens through the masks.
func accepts(t testing.TB, s *Schema, text string, end harmony.Token) (bool, string) {
	t.Helper()
	m := s.Start()
	for i, id := range s.vocabulary.enc.Encode(text) {
		has := m.Mask().Has(id)
		err := m.Accept(id)
		if has != (err == nil) {
			t.Fatalf("%s: token %d (%q): in the mask: %v, accepted: %v", text, i, s.vocabulary.enc.TokenText(id), has, err)
		}
		if !has {
			return false, fmt.Sprintf("token %d (%q) is refused", i, s.vocabulary.enc.TokenText(id))
		}
	}
	if m.Done() != m.Mask().Has(end) {
		t.Fatalf("%s: done: %v, end in the mask: %v", text, m.Done(), m.Mask().Has(end))
	}
	if !m.Done() {
		return false, "the end is refused"
	}
	return true, ""
}

func TestSchemas(t *testing.T) {
	v := o200k()
	end := v.enc.Control().Call
	for file, cases := range schemaTrees(t) {
		var refused, valid, invalid int
		for _, c := range cases {
			s, err := v.Compile(c.Schema, Options{End: []harmony.Token{end}})
			if err != nil {
				var u *UnsupportedError
				if !errors.As(err, &u) || u.Path == "" || u.Reason == "" {
					t.Errorf("%s: refused without a path and a reason: %v", c.Name, err)
				}
				t.Logf("%s: %v", c.Name, err)
				refused++
				continue
			}
			for _, doc := range c.Valid {
				valid++
				text := compact(t, doc)
				if ok, why := accepts(t, s, text, end); !ok {
					t.Errorf("%s: valid document rejected: %s: %s", c.Name, text, why)
				}
			}
			for _, doc := range c.Invalid {
				invalid++
				text := compact(t, doc)
				if ok, _ := accepts(t, s, text, end); ok {
					t.Errorf("%s: invalid document accepted: %s", c.Name, text)
				}
			}
		}
		t.Logf("%s: %d schemas, %d refused, %d valid and %d invalid documents", file, len(cases), refused, valid, invalid)
	}
}
