package automaton

import "testing"

func TestLabels(t *testing.T) {
	check := func(d *DFA, s string, want int32) {
		t.Helper()
		st := d.Start()
		for _, r := range s {
			st = d.Step(st, r)
		}
		if d.Label(st) != want {
			t.Errorf("%q: label %d, want %d", s, d.Label(st), want)
		}
	}
	for _, c := range []struct {
		f, s string
		want int32
	}{
		{"date", "2024-02-29", 1}, {"date", "2023-02-29", 0}, {"date", "0000-01-01", 0}, {"date", "2000-02-29", 1}, {"date", "1900-02-29", 0}, {"date", "2023-12-31", 1},
		{"email", "first.last+tag@sub.example.co", 1}, {"email", "plain", 0}, {"duration", "P", 0}, {"duration", "PT", 0}, {"duration", "P1Y2M3DT4H5M6S", 1}, {"duration", "P1DT", 0},
		{"uri", "https://example.org/x?y=1#z", 1}, {"uri", "urn:isbn:0451450523", 1}, {"uri", "/relative", 0}, {"uri", "ftp://user@example.org:21/a%20b", 1}, {"ipv6", "::1", 1}, {"ipv6", "fe80::1:2", 1},
		{"hostname", "a-b.example", 1}, {"hostname", "ab--c", 0}, {"hostname", "x.ab--c", 0},
	} {
		check(formats[c.f]().DFA, c.s, c.want)
	}
	cmp := func(b, s string, want int32) {
		t.Helper()
		dd, _ := ParseDecimal(b)
		d, _ := Compare(dd)
		check(d, s, want)
	}
	cmp("3.2", "3.2", 2)
	cmp("3.2", "3.20", 2)
	cmp("3.2", "3.1999", 1)
	cmp("3.2", "3.21", 3)
	cmp("3.2", "3", 1)
	cmp("3.2", "12", 3)
	cmp("3.2", "-5", 1)
	cmp("-3.2", "-3.3", 1)
	cmp("-3.2", "0", 3)
	cmp("-3.2", "-3", 3)
	cmp("100", "99", 1)
	cmp("100", "100.0", 2)
	cmp("100", "1000", 3)
	cmp("0.5", "0.25", 1)
	cmp("0.5", "1", 3)
	cmp("0", "0.0", 2)
	cmp("0", "-0", 0)
	cmp("0", "1e5", 3)
	q, _ := ParseDecimal("0.25")
	m, _ := Multiple(q)
	check(m, "9.5", 1)
	check(m, "9.75", 1)
	check(m, "3.3", 2)
	check(m, "-0.25", 1)
	check(m, "10", 1)
	for _, c := range []struct {
		p, s string
		want int32
	}{
		{"ab+c", "xxabbcyy", 1}, {"^id_", "id_x", 1}, {"^id_", "xid_", 0}, {`\.json$`, "a.json", 1}, {`\.json$`, "a.jsonx", 0}, {"^.{3}$", "äöü", 1}, {"^.{3}$", "a\nb", 0},
		{"^(red|green|blue)(-(light|dark))?$", "red-dark", 1}, {"^[α-ω]{2,5}$", "αβ", 1}, {`^(?=.*[A-Z])(?=.*\d).{8,}$`, "abcdefG1", 1}, {`^(?=.*[A-Z])(?=.*\d).{8,}$`, "abcdefg1", 0},
		{"(^a|b)$", "xb", 1}, {"(^a|b)$", "xa", 0}, {"", "x", 1}, {"^$", "", 1}, {"^$", "a", 0},
	} {
		d, err := Pattern(c.p)
		if err != nil {
			t.Error(c.p, err)
			continue
		}
		check(d, c.s, c.want)
	}
}
