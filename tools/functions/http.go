package functions

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"chorale/internal/secret"
	"chorale/internal/strictjson"
	"chorale/internal/strictyaml"
	"chorale/internal/wall"
)

// httpRequest is a function that asks a service, as it is written.
type httpRequest struct {
	Method  string            `yaml:"method"` // GET unless stated
	URL     string            `yaml:"url,required"`
	Query   map[string]string `yaml:"query"`
	Headers map[string]string `yaml:"headers"`
	Body    json.RawMessage   `yaml:"body"` // JSON; left out: all arguments, where the method has a body

	url         template // the path, behind the origin
	query       map[string]template
	headers     map[string]template
	body        any // with templates in place of texts; nil for all arguments
	origin      *url.URL
	rule        wall.Rule
	secrets     map[string]secret.Source
	idempotency string
}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

var headerPattern = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// setByUs are headers that the connection and the body decide.
var setByUs = []string{"connection", "content-length", "host", "transfer-encoding", "accept-encoding", "upgrade", "te", "trailer"}

func (d *declaration) checkHTTP() error {
	if len(d.Env) > 0 || d.Workdir != "" || d.Network || len(d.Read) > 0 || len(d.Write) > 0 {
		return errors.New("env, workdir, read, write and network are for commands")
	}
	if d.Idempotency != "" && !headerPattern.MatchString(d.Idempotency) {
		return strictyaml.At("idempotency", fmt.Errorf("%q is no name of a header", d.Idempotency))
	}
	return nil
}

// Check implements strictyaml.Checker.
func (h *httpRequest) Check() error {
	if h.Method == "" {
		h.Method = http.MethodGet
	}
	if !slices.Contains(methods, h.Method) {
		return strictyaml.At("method", fmt.Errorf("%q is not one of %s", h.Method, strings.Join(methods, ", ")))
	}
	if h.Body != nil && !h.sends() {
		return strictyaml.At("body", fmt.Errorf("a %s request has no body", h.Method))
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		if !headerPattern.MatchString(name) || slices.Contains(setByUs, strings.ToLower(name)) {
			return strictyaml.At("headers", fmt.Errorf("%q cannot be set", name))
		}
	}
	return nil
}

// sends reports whether a request has a body.
func (h *httpRequest) sends() bool {
	return h.Method == http.MethodPost || h.Method == http.MethodPut || h.Method == http.MethodPatch
}

// bind reads the templates, against the arguments and secrets that there are.
func (h *httpRequest) bind(s *schema, secrets map[string]secret.Source) (err error) {
	h.secrets = secrets
	if err := h.bindURL(s); err != nil {
		return strictyaml.At("url", err)
	}
	if h.query, err = h.templates("query", h.Query, s); err != nil {
		return err
	}
	if h.headers, err = h.templates("headers", h.Headers, s); err != nil {
		return err
	}
	if h.Body != nil {
		v, err := strictjson.Parse(string(h.Body))
		if err == nil {
			h.body, err = h.shape(v, s)
		}
		if err != nil {
			return strictyaml.At("body", err)
		}
	}
	return nil
}

// bindURL takes the origin as it is written, so that no argument can choose
// whom a request reaches.
func (h *httpRequest) bindURL(s *schema) error {
	scheme, rest, ok := strings.Cut(h.URL, "://")
	host, path, slash := strings.Cut(rest, "/")
	if slash {
		path = "/" + path
	}
	origin, err := url.Parse(scheme + "://" + host)
	switch {
	case !ok || err != nil || origin.Scheme != "http" && origin.Scheme != "https" || origin.Host == "" || origin.User != nil || strings.Contains(host, "{{"):
		return fmt.Errorf("%q must begin with http:// or https:// and a host without placeholders", h.URL)
	case strings.ContainsAny(path, "?#"):
		return errors.New("must end with the path; parameters stand under query")
	}
	if h.rule, err = wall.Origin(origin); err != nil {
		return err
	}
	h.origin = origin
	if h.url, err = parseTemplate(path, s, h.secrets); err != nil {
		return err
	}
	if h.url.secret() {
		return errors.New("a secret cannot stand in the path; put it into a header")
	}
	if name, ok := h.url.alone(); ok {
		return s.fits(name)
	}
	return nil
}

func (h *httpRequest) templates(key string, texts map[string]string, s *schema) (map[string]template, error) {
	out := map[string]template{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		t, err := parseTemplate(texts[name], s, h.secrets)
		if alone, ok := t.alone(); ok && err == nil {
			err = s.scalar(alone)
		}
		if err != nil {
			return nil, strictyaml.At(key, strictyaml.At(name, err))
		}
		out[name] = t
	}
	return out, nil
}

// shape is a body with templates in place of its texts.
func (h *httpRequest) shape(v any, s *schema) (any, error) {
	var err error
	switch v := v.(type) {
	case string:
		return parseTemplate(v, s, h.secrets)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			if out[i], err = h.shape(v[i], s); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if out[key], err = h.shape(v[key], s); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

// ready reports secrets that are not there.
func (h *httpRequest) ready() error {
	_, err := secret.Read(h.secrets)
	return err
}
