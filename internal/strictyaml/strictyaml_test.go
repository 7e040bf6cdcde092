package strictyaml

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type server struct {
	Host    string   `yaml:"host,required"`
	Port    uint16   `yaml:"port"`
	Timeout Duration `yaml:"timeout"`
	Memory  *Size    `yaml:"memory"`
}

type shared struct {
	Name string `yaml:"name"`
}

type file struct {
	shared
	Count   int                `yaml:"count"`
	Ratio   float64            `yaml:"ratio"`
	On      bool               `yaml:"on"`
	Tags    []string           `yaml:"tags"`
	Server  *server            `yaml:"server"`
	Limits  map[string]float64 `yaml:"limits"`
	Schema  json.RawMessage    `yaml:"schema"`
	Any     any                `yaml:"any"`
	Either  stringOrServer     `yaml:"either"`
	Range   span               `yaml:"range"`
	Ignored int                // no tag: no key
}

type stringOrServer struct{ server }

func (s *stringOrServer) DecodeNode(n Node) error {
	if n.Kind() == String {
		return n.Decode(&s.Host)
	}
	return n.Decode(&s.server)
}

type span struct {
	Min int   `yaml:"min"`
	Max int   `yaml:"max"`
	Not []int `yaml:"not"`
}

func (s *span) Check() error {
	for i, n := range s.Not {
		if n == s.Min {
			return At("not", At(strconv.Itoa(i), errors.New("is min")))
		}
	}
	if s.Min > s.Max {
		return At("min", fmt.Errorf("%d is above max", s.Min))
	}
	return nil
}

func TestDecode(t *testing.T) {
	src := `
# a comment
name: "x: y"
count: 0x10
ratio: .5
on: true
tags:
- a
- |
  two
  lines
- plain 12:30
server: {host: h, port: 80, timeout: 1m30s, memory: 512Mi}
limits: {a: 1, b: 2.5}
schema:
  type: object
  properties:
    zeta: {type: string, description: "<é> & \"q\""}
    alpha: {type: integer, minimum: +05, maximum: 1e3, default: ~}
  required: [zeta]
any: [1, x, {"a":null}]
either: h
range: {min: 1, max: 2}
`
	got := file{Count: 5}
	if err := Decode("f.yaml", []byte(src), &got); err != nil {
		t.Fatal(err)
	}
	memory := Size(512 << 20)
	want := file{
		shared: shared{"x: y"}, Count: 16, Ratio: .5, On: true,
		Tags:   []string{"a", "two\nlines\n", "plain 12:30"},
		Server: &server{"h", 80, Duration(90 * time.Second), &memory},
		Limits: map[string]float64{"a": 1, "b": 2.5},
		Schema: json.RawMessage(`{"type":"object","properties":{"zeta":{"type":"string","description":"<é> & \"q\""},` +
			`"alpha":{"type":"integer","minimum":5,"maximum":1e3,"default":null}},"required":["zeta"]}`),
		Any:    []any{1.0, "x", map[string]any{"a": nil}},
		Either: stringOrServer{server{Host: "h"}},
		Range:  span{1, 2, nil},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(file{}, stringOrServer{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLineEndings(t *testing.T) {
	for _, text := range []string{"name: 'one\n  two'\non: true\n", "any: [\n  {a: 1},\n  b # c\n]\ntags:\n- |\n  x\n\n  y\n- z\n"} {
		var unix, dos file
		if err := Decode("f", []byte(text), &unix); err != nil {
			t.Fatal(err)
		}
		if err := Decode("f", []byte(strings.ReplaceAll(text, "\n", "\r\n")), &dos); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(unix, dos, cmp.AllowUnexported(file{}, stringOrServer{})); diff != "" {
			t.Errorf("%q\n%s", text, diff)
		}
	}
}

func TestDefaultsStay(t *testing.T) {
	got := file{Count: 5, Server: &server{Port: 7}}
	if err := Decode("f", []byte("server: {host: a}\n"), &got); err != nil {
		t.Fatal(err)
	}
	if got.Count != 5 || got.Server.Port != 7 || got.Server.Host != "a" {
		t.Errorf("defaults lost: %+v %+v", got, got.Server)
	}
}

// What stands after "f.yaml:" in the first line of each complaint.
func TestComplaints(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"nmae: x", `1:1: unknown key "nmae"; did you mean "name"?`},
		{"count: 1\nserver:\n  host: a\n  prot: 1", `4:3: server: unknown key "prot"; did you mean "port"?`},
		{"server: {host: a, xyzzy: 1}", `1:19: server: unknown key "xyzzy"; valid keys are host, port, timeout, memory`},
		{"NAME: x", `1:1: unknown key "NAME"; did you mean "name"?`},
		{"Ignored: 1", `1:1: unknown key "Ignored"; valid keys are name, count, ratio, on, tags, server, limits, schema, any, either, range`},
		{"name: a\nname: b", `2:1: key "name" is repeated; it stands first in line 1`},
		{"any: {a: 1, b: 2, a: 3}", `1:19: key "a" is repeated; it stands first in line 1`},
		{"name: 5", `1:7: name: must be a string, got number 5; put it in quotes`},
		{"name: true", `1:7: name: must be a string, got true; put it in quotes`},
		{"name: [a]", `1:7: name: must be a string, got a sequence`},
		{"name:", `1:7: name: has no value; give one or remove the key`},
		{"on: yes", `1:5: on: must be true or false, got "yes"`},
		{"count: \"5\"", `1:8: count: must be a whole number, got "5"`},
		{"count: 1.5", `1:8: count: must be a whole number, got 1.5`},
		{"count: 010", `1:8: count: number 010 has a leading zero`},
		{"count: 99999999999999999999", `1:8: count: number 99999999999999999999 is out of range`},
		{"server: {host: a, port: 70000}", `1:25: server.port: number 70000 is out of range`},
		{"server: {host: a, port: -1}", `1:25: server.port: number -1 is out of range`},
		{"ratio: x", `1:8: ratio: must be a number, got "x"`},
		{"tags: a", `1:7: tags: must be a sequence ([a, b], or lines that begin with -), got "a"`},
		{"tags: [a, 1]", `1:11: tags[1]: must be a string, got number 1; put it in quotes`},
		{"limits: [1]", `1:9: limits: must be a mapping (key: value), got a sequence`},
		{"limits: {a: x}", `1:13: limits.a: must be a number, got "x"`},
		{"server: {port: 1}", `1:9: server: missing key "host"`},
		{"server:\n  port: 1", `2:3: server: missing key "host"`},
		{"server: {host: a, timeout: 60}", `1:28: server.timeout: must be a duration such as 60s or 1h30m, got "60"`},
		{"server: {host: a, timeout: -5s}", `1:28: server.timeout: must be a duration such as 60s or 1h30m, got "-5s"`},
		{"server: {host: a, timeout: [1s]}", `1:28: server.timeout: must be a string, got a sequence`},
		{"server: {host: a, memory: 5MiBs}", `1:27: server.memory: must be a size such as 512Mi, 64KiB or 1000, got "5MiBs"`},
		{"server: {host: a, memory: 99999999Ti}", `1:27: server.memory: size 99999999Ti is out of range`},
		{"either: 5", `1:9: either: must be a mapping (key: value), got number 5`},
		{"range: {min: 3, max: 2}", `1:14: range.min: 3 is above max`},
		{"range: {max: 2, not: [1, 0]}", `1:26: range.not[1]: is min`},
		{"a: &x 1\nb: *x", `1:4: anchors are not supported; write the value out`},
		{"b: *x", `1:4: aliases are not supported; write the value out`},
		{"b: !!str x", `1:4: tags are not supported`},
		{"<<: {a: 1}", `1:1: merge keys are not supported; write the keys out`},
		{"? a\n: b", `1:1: "? " keys are not supported; write key: value`},
		{"%YAML 1.2\n---\na: 1", `1:1: directives are not supported`},
		{"name: a\n---\nname: b", `2:1: a second document; a file holds one`},
		{"name: a\n...\nname: b", `3:1: a second document; a file holds one`},
		{"", `1:1: the document is empty`},
		{"# only words\n", `1:1: the document is empty`},
		{"---\n", `1:1: the document is empty`},
		{"just text", `1:1: must be a mapping (key: value), got "just text"`},
		{"1: x", `1:1: a key must be a string, got number 1; put it in quotes`},
		{"name: a: b", `1:7: mapping value is not allowed in this context`},
		{"any: {k: [x:y]}", `1:12: a ":" within [] or {} needs a space after it, or quotes around the text`},
		{"any: {a:1}", `1:8: a ":" within [] or {} needs a space after it, or quotes around the text`},
		{"name: a\rb", `1:8: control character U+000D; write it as an escape in double quotes`},
		{"name: \"a", `1:7: could not find end character of double-quoted text`},
		{"name: a\xff", `1:8: not UTF-8 text`},
		{"name: a\x00", `1:8: control character U+0000; write it as an escape in double quotes`},
		{"any: " + strings.Repeat("[", 5_000), `1:70: nested too deeply`},
		{"any:\n" + strings.Repeat("- ", 10_000), `2:129: nested too deeply`},
		{"any: [" + strings.Repeat("a,", 20_000) + "]", `1:30004: more than 30000 tokens`},
		{strings.Repeat("#", MaxSize+1), `1:1: larger than 1048576 bytes`},
	} {
		err := Decode("f.yaml", []byte(c.src), new(file))
		if err == nil {
			t.Errorf("%.60q: no error, want %s", c.src, c.want)
			continue
		}
		got, _, _ := strings.Cut(err.Error(), "\n")
		if got != "f.yaml:"+c.want {
			t.Errorf("%.60q:\n got %s\nwant f.yaml:%s", c.src, got, c.want)
		}
	}
}

func TestWholeNumbers(t *testing.T) {
	var v struct {
		I int64  `yaml:"i"`
		U uint64 `yaml:"u"`
		B int8   `yaml:"b"`
	}
	if err := Decode("f", []byte("i: -9223372036854775808\nu: 18446744073709551615\nb: 0x7f"), &v); err != nil || v.I != -1<<63 || v.U != 1<<64-1 || v.B != 127 {
		t.Errorf("got %+v, %v", v, err)
	}
	for _, src := range []string{"i: 9223372036854775808", "u: 18446744073709551616", "u: -1", "b: 128"} {
		if err := Decode("f", []byte(src), &v); err == nil || !strings.Contains(err.Error(), "is out of range") {
			t.Errorf("%s: got %v", src, err)
		}
	}
}

func TestNestingByIndentation(t *testing.T) {
	var b strings.Builder
	b.WriteString("any:\n")
	for i := range 300 {
		b.WriteString(strings.Repeat(" ", i+1) + "a:\n")
	}
	err := Decode("f.yaml", []byte(b.String()), new(file))
	if err == nil || !strings.Contains(err.Error(), "nested too deeply") {
		t.Errorf("got %v", err)
	}
}

func TestExcerpt(t *testing.T) {
	err := Decode("f.yaml", []byte("count: 1\r\nname: [é, x]\r\n"), new(file))
	want := "f.yaml:2:7: name: must be a string, got a sequence\n" +
		"    2 | name: [é, x]\n" +
		"      |       ^"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestAllComplaintsAreGiven(t *testing.T) {
	err := Decode("f.yaml", []byte("nmae: a\ncount: x\nserver: {}\n"), new(file))
	var es Errors
	if !errors.As(err, &es) || len(es) != 3 {
		t.Fatalf("got %v", err)
	}
	for i, line := range []int{1, 2, 3} {
		if es[i].Line != line {
			t.Errorf("complaint %d is in line %d", i, es[i].Line)
		}
	}
	err = Decode("f.yaml", []byte("tags: ["+strings.Repeat("1,", 50)+"]"), new(file))
	if errors.As(err, &es); len(es) != maxErrors {
		t.Errorf("%d complaints", len(es))
	}
}

func TestDecodeKind(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"apiVersion: agent/v1\nkind: Box\nname: a", ""},
		{"kind: Box\nname: a", `f.yaml:1:1: missing key "apiVersion"; write apiVersion: agent/v1`},
		{"apiVersion: agent/v2\nkind: Box\nzzz: 1", `f.yaml:1:13: apiVersion: must be agent/v1, got "agent/v2"`},
		{"apiVersion: agent/v1\nkind: Task", `f.yaml:2:7: kind: must be Box, got "Task"`},
		{"apiVersion: agent/v1\nname: a", `f.yaml:1:1: missing key "kind"; write kind: Box`},
		{"- a", `f.yaml:1:1: must be a mapping that begins with apiVersion: agent/v1 and kind: Box`},
	} {
		got := ""
		if err := DecodeKind("f.yaml", []byte(c.src), "Box", new(shared)); err != nil {
			got, _, _ = strings.Cut(err.Error(), "\n")
		}
		if got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.src, got, c.want)
		}
	}
}

func TestScalarsReadBack(t *testing.T) {
	for text, want := range map[string]string{"512Mi": "512Mi", "64KiB": "64Ki", "1000": "1000", "10MB": "10000000", "0": "0", "1024": "1Ki"} {
		var s, back Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != want {
			t.Errorf("%s: %v, %v", text, s, err)
		}
		if b, err := json.Marshal(s); err != nil || json.Unmarshal(b, &back) != nil || back != s {
			t.Errorf("%s: %s reads back as %d (%v)", text, b, back, err)
		}
	}
	d, back := Duration(90*time.Second), Duration(0)
	if b, err := json.Marshal(d); err != nil || json.Unmarshal(b, &back) != nil || back != d {
		t.Errorf("%s reads back as %v (%v)", b, back, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"a: 1", "any: {a: [1, {b: |\n  x\n}]}", "schema: [0x1F, +.5e3, 1., -007, ~]", "a: 'x", "- - - ?", "any: \"\\ud800\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var v file
		if Decode("f", src, &v) == nil && v.Schema != nil && !json.Valid(v.Schema) {
			t.Errorf("%q became invalid JSON %s", src, v.Schema)
		}
	})
}
