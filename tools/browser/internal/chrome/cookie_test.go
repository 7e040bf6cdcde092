package chrome

import "testing"

// TestCookieHTTP: a client of ours gets the cookies of a host, and no others.
func TestCookieHTTP(t *testing.T) {
	cookie := func(domain string, more ...any) Cookie {
		c := Cookie{"name": "sid", "value": "42", "domain": domain, "path": "/shop", "secure": true}
		for i := 0; i < len(more); i += 2 {
			c[more[i].(string)] = more[i+1]
		}
		return c
	}
	for _, c := range []struct {
		cookie Cookie
		host   string
		want   string // as it is set; empty: it is not
	}{
		{cookie("a.example"), "a.example", "sid=42; Path=/shop; Secure"},
		{cookie("a.example"), "b.a.example", ""},
		{cookie(".a.example"), "b.a.example", "sid=42; Path=/shop; Domain=a.example; Secure"},
		{cookie("a.example", "sameSite", "Strict"), "a.example", "sid=42; Path=/shop; Secure; SameSite=Strict"},
		{cookie("a.example", "value", `"4 2"`), "a.example", `sid="4 2"; Path=/shop; Secure`},
		{cookie("a.example", "value", "a\x00b"), "a.example", ""},
		{cookie("a.example", "partitionKey", map[string]any{}), "a.example", ""},
		{cookie("[::1]"), "::1", "sid=42; Path=/shop; Secure"},
		{Cookie{}, "a.example", ""},
	} {
		var got string
		if h := c.cookie.HTTP(c.host); h != nil {
			got = h.String()
		}
		if got != c.want {
			t.Errorf("%v for %s: %q, want %q", c.cookie, c.host, got, c.want)
		}
	}
}
