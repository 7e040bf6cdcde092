//go:build unix

package functions_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"chorale/tools"
	"chorale/tools/functions"
	"chorale/tools/tooltest"
)

// service keeps what it was asked.
type service struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
	keys  []string
	fail  int // how many requests from now on find it busy
}

func newService(t *testing.T) *service {
	s := &service{}
	over := make(chan struct{})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.asked = append(s.asked, fmt.Sprintf("%s %s %s %s", r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), body))
		s.keys = append(s.keys, r.Header.Get("Idempotency-Key"))
		busy := s.fail > 0
		s.fail--
		s.mu.Unlock()
		switch {
		case busy:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case strings.HasPrefix(r.URL.Path, "/echo"):
			w.Write([]byte(r.URL.Query().Get("text")))
		case r.URL.Path == "/hang":
			select {
			case <-over:
			case <-r.Context().Done():
			}
		case r.URL.Path == "/flood":
			io.WriteString(w, strings.Repeat("x", 2<<20))
		case r.URL.Path == "/away":
			http.Redirect(w, r, "/echo", http.StatusFound)
		case r.URL.Path == "/quota":
			w.Header().Set("Retry-After", "3600")
			http.Error(w, "the quota is used up", http.StatusTooManyRequests)
		case r.URL.Path == "/bytes":
			w.Header().Set("Content-Type", "image/png; charset=ISO-8859-1") // as some say of everything
			w.Write([]byte{0x89, 'P', 0xff, 0})
		case r.URL.Path == "/latin":
			w.Header().Set("Content-Type", "text/plain; charset=iso-8859-1")
			io.WriteString(w, "Caf\xe9")
		case r.URL.Path == "/wide":
			w.Header().Set("Content-Type", "application/json; charset=utf-16")
			for _, c := range utf16.Encode([]rune("\uFEFF\"" + r.Header.Get("Authorization") + "\"")) {
				w.Write([]byte{byte(c >> 8), byte(c)})
			}
		case r.URL.Path == "/header":
			fmt.Fprintf(w, "you sent %s", r.Header.Get("Authorization"))
		case r.URL.Path == "/missing":
			http.Error(w, "no such thing", http.StatusNotFound)
		default:
			fmt.Fprint(w, `{"ok": true}`)
		}
	}))
	t.Cleanup(func() {
		close(over)
		s.Close()
	})
	return s
}

func (s *service) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1]
}

// file declares functions of the service; URL stands for its address.
func (s *service) file(t *testing.T, declared string) *functions.Set {
	return parse(t, strings.ReplaceAll("apiVersion: agent/v1\nkind: Functions\n"+declared, "URL", s.URL))
}

func try(t *testing.T, tool tools.Tool, name string, args any) tools.Result {
	t.Helper()
	b, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	c := call(name, string(b))
	c.Limits = tools.Limits{Time: 20 * time.Second, Output: 1 << 16, Memory: 1 << 30}
	r, err := tool.Call(t.Context(), c)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

type in = map[string]any

func TestHTTPContract(t *testing.T) {
	s := newService(t)
	set := s.file(t, `
functions:
- name: echo
  description: Gives text back.
  parameters: {type: object, properties: {text: {type: string}}, required: [text]}
  http: {url: URL/echo, query: {text: "{{text}}"}}
- {name: endless, description: Waits., http: {url: URL/hang}}
- {name: flood, description: Gives a lot., http: {url: URL/flood}}
`)
	tooltest.Run(t, tooltest.Subject{
		Open:    func(t *testing.T) tools.Tool { return open(t, set) },
		Echo:    echo,
		Endless: call("endless", ""),
		Flood:   call("flood", "{}"),
		Wrong:   call("echo", `{"text": 5}`),
	})
}

// A request is the templates with the arguments in their places, and nothing
// that an argument holds can lead it elsewhere.
func TestHTTPRequest(t *testing.T) {
	t.Setenv("FUNCTIONS_TEST_TOKEN", "s3cr3t-token")
	s := newService(t)
	tool := open(t, s.file(t, `
secrets: {erp: {env: FUNCTIONS_TEST_TOKEN}}
functions:
- name: order
  description: Orders.
  parameters:
    type: object
    properties: {id: {type: string}, n: {type: integer}, note: {type: string}, tags: {type: array, items: {type: string}}}
    required: [id, n]
  http:
    method: POST
    url: URL/orders/{{id}}/lines
    query: {n: "{{n}}", note: "{{note}}"}
    headers: {Authorization: "Bearer {{secret.erp}}"}
    body: {id: "{{id}}", count: "{{n}}", text: "for {{id}}", tags: "{{tags}}", fixed: [1, true, null]}
- name: all
  description: Sends everything.
  parameters: {type: object, properties: {a: {type: integer}, b: {type: string, default: c}}}
  http: {method: PUT, url: URL/all}
- {name: header, description: Shows., http: {url: URL/header, headers: {Authorization: "Bearer {{secret.erp}}"}}}
- {name: latin, description: Not UTF-8., http: {url: URL/latin}}
- {name: wide, description: Nor this., http: {url: URL/wide, headers: {Authorization: "Bearer {{secret.erp}}"}}}
- {name: away, description: Redirects., http: {url: URL/away}}
- {name: missing, description: Fails., http: {url: URL/missing}}
- {name: bytes, description: An image., http: {url: URL/bytes}}
`))
	for _, c := range []struct {
		args in
		want string
	}{
		{in{"id": "7", "n": 2}, `POST /orders/7/lines?n=2 Bearer s3cr3t-token {"count":2,"fixed":[1,true,null],"id":"7","text":"for 7"}`},
		{in{"id": "a/../b?x=1#y", "n": 2, "note": "a&b=c", "tags": []string{"t"}},
			`POST /orders/a%2F..%2Fb%3Fx=1%23y/lines?n=2&note=a%26b%3Dc Bearer s3cr3t-token {"count":2,"fixed":[1,true,null],"id":"a/../b?x=1#y","tags":["t"],"text":"for a/../b?x=1#y"}`},
		{in{"id": "{{secret.erp}}", "n": 1},
			`POST /orders/%7B%7Bsecret.erp%7D%7D/lines?n=1 Bearer s3cr3t-token {"count":1,"fixed":[1,true,null],"id":"{{secret.erp}}","text":"for {{secret.erp}}"}`},
	} {
		if r := try(t, tool, "order", c.args); r.Failed || s.last() != c.want {
			t.Errorf("%v: %+v\n got %s\nwant %s", c.args, r, s.last(), c.want)
		}
	}
	if r := try(t, tool, "order", in{"id": "..", "n": 1}); !r.Failed || !strings.Contains(r.Text, "cannot stand in an address") {
		t.Errorf("got %+v", r)
	}
	if try(t, tool, "all", in{"a": 1}); s.last() != `PUT /all  {"a":1,"b":"c"}` {
		t.Errorf("got %s", s.last())
	}
	for name, want := range map[string]string{
		"header": "you sent Bearer [secret erp]", "away": "HTTP 302: the service redirects to URL/echo, which is not followed", "missing": "Error: HTTP 404: no such thing", "bytes": "[image/png, 4 bytes]",
		"latin": "Café", "wide": `"Bearer [secret erp]"`,
	} {
		want = strings.ReplaceAll(want, "URL", s.URL)
		if r := try(t, tool, name, in{}); !strings.Contains(r.Text, want) || strings.Contains(r.Text, "\uFEFF") || r.Failed != (name == "away" || name == "missing") {
			t.Errorf("%s: %+v, want %q", name, r, want)
		}
	}
}

// What may pass is tried again, with the same key; what may not, is not.
func TestHTTPRetries(t *testing.T) {
	s := newService(t)
	tool := open(t, s.file(t, `
functions:
- {name: pay, description: Pays., retries: 2, idempotency: Idempotency-Key, http: {method: POST, url: URL/pay}}
- {name: once, description: Pays., http: {method: POST, url: URL/pay}}
- {name: missing, description: Fails., retries: 2, sideEffect: false, http: {url: URL/missing}}
- {name: away, description: Redirects., retries: 2, idempotency: Idempotency-Key, http: {method: POST, url: URL/away}}
- {name: quota, description: Waits., retries: 2, sideEffect: false, http: {url: URL/quota}}
`))
	s.fail = 2
	if r := try(t, tool, "pay", in{}); r.Failed || len(s.asked) != 3 || s.keys[0] == "" || s.keys[0] != s.keys[1] || s.keys[1] != s.keys[2] {
		t.Errorf("%+v, %d requests with the keys %q", r, len(s.asked), s.keys)
	}
	first := s.keys[0]
	s.fail = 3
	if r := try(t, tool, "pay", in{}); !r.Failed || !strings.Contains(r.Text, "HTTP 503: busy") || len(s.asked) != 6 || s.keys[5] == first {
		t.Errorf("%+v, %d requests, keys %q", r, len(s.asked), s.keys)
	}
	named := call("pay", "{}")
	named.Key, named.Limits = "the-run's", tools.Limits{Time: 20 * time.Second, Output: 1 << 16, Memory: 1 << 30}
	s.fail = 1
	if _, err := tool.Call(t.Context(), named); err != nil || len(s.keys) != 8 || s.keys[6] != "the-run's" || s.keys[7] != "the-run's" {
		t.Errorf("%v, keys %q", err, s.keys)
	}
	s.asked = s.asked[:6]
	s.fail = 1
	if r := try(t, tool, "once", in{}); !r.Failed || len(s.asked) != 7 {
		t.Errorf("%+v, %d requests", r, len(s.asked))
	}
	for i, name := range []string{"missing", "away", "quota"} { // nobody waits an hour for the last
		if r := try(t, tool, name, in{}); !r.Failed || strings.Contains(r.Text, "timed out") || len(s.asked) != 8+i {
			t.Errorf("%s: %+v, %d requests", name, r, len(s.asked))
		}
	}
}

// A result that is not of the declared form is none, of commands too.
func TestResultSchema(t *testing.T) {
	s := newService(t)
	tool := open(t, s.file(t, `
functions:
- {name: good, description: x, http: {url: URL/ok}, result: {type: object, properties: {ok: {type: boolean}}, required: [ok]}}
- {name: bad, description: x, http: {url: URL/ok}, result: {type: object, properties: {ok: {type: string}}, required: [ok]}}
- {name: text, description: x, command: [echo, hello], result: {type: object}}
`))
	for name, want := range map[string]string{"good": `{"ok": true}`, "bad": "not what it should be: ok: must be string, got boolean", "text": "not JSON as it should be"} {
		if r := try(t, tool, name, in{}); !strings.Contains(r.Text, want) || r.Failed != (name != "good") {
			t.Errorf("%s: %+v, want %q", name, r, want)
		}
	}
}

func TestHTTPNeedsItsSecret(t *testing.T) {
	set := parse(t, "apiVersion: agent/v1\nkind: Functions\nsecrets: {k: {env: FUNCTIONS_TEST_UNSET}}\nfunctions:\n- {name: a, description: x, http: {url: https://a.example/, headers: {X: \"{{secret.k}}\"}}}\n")
	if _, err := set.Open(); err == nil || !strings.Contains(err.Error(), "the variable FUNCTIONS_TEST_UNSET is not set") {
		t.Errorf("got %v", err)
	}
}

// No argument chooses whom a request reaches, and what a template names is there.
func TestHTTPTemplates(t *testing.T) {
	const head = "apiVersion: agent/v1\nkind: Functions\nsecrets: {k: {env: K}}\nfunctions:\n- name: f\n  description: x\n" +
		"  parameters: {type: object, properties: {h: {type: string}, l: {type: array}, o: {type: string}}, required: [h]}\n  http: "
	for http, want := range map[string]string{
		`{url: "https://{{h}}/"}`:                                         "f.yaml:8:15: functions[0].http.url: \"https://{{h}}/\" must begin with http:// or https:// and a host without placeholders",
		`{url: "{{h}}"}`:                                                  "must begin with http://",
		`{url: "https://a.example{{h}}/"}`:                                "a host without placeholders",
		`{url: "https://me:pw@a.example/"}`:                               "must begin with",
		`{url: "https://a.example/?q=1"}`:                                 "parameters stand under query",
		`{url: "https://a.example/{{secret.k}}"}`:                         "put it into a header",
		`{url: "https://a.example/{{o}}"}`:                                "list the argument in required",
		`{url: https://a.example/, headers: {X: "{{secret.z}}"}}`:         "functions[0].http.headers.X: {{secret.z}} is not among the file's secrets",
		`{url: https://a.example/, query: {l: "{{l}}"}}`:                  "an argument of type array cannot stand in a text",
		`{url: https://a.example/, query: {l: "{{nope}}"}}`:               "names no argument",
		`{method: POST, url: https://a.example/, body: {a: ["x {{o}}"]}}`: "functions[0].http.body: placeholder {{o}}: list the argument in required",
	} {
		_, err := functions.Parse("f.yaml", []byte(head+http+"\n"), ".")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", http, err, want)
		}
	}
}
