package functions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"chorale/internal/sandbox"
	"chorale/internal/secret"
	"chorale/internal/wall"
	"chorale/tools"
)

// maxBody bounds what is read of an answer.
const maxBody = 8 << 20

// run makes one request. It reaches the declared origin and no other; what the
// service answers has the secrets taken out.
func (h *httpRequest) run(ctx context.Context, args arguments, l tools.Limits) (tools.Result, error) {
	secrets, err := secret.Read(h.secrets)
	if err != nil {
		return tools.Result{}, err
	}
	req, err := h.request(ctx, args, secrets)
	if err != nil {
		return failed(err, l), nil
	}
	client := &http.Client{
		Transport:     wall.Transport(&wall.Dialer{Rule: h.rule}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if ctx.Err() != nil {
		if err == nil {
			resp.Body.Close()
		}
		return tools.Result{}, context.Cause(ctx)
	}
	if err != nil {
		var asked *url.Error // it names the address, with the query
		if errors.As(err, &asked) {
			err = asked.Err
		}
		args.again()
		return failed(errors.New(secrets.Redact(err.Error())), l), nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if ctx.Err() != nil {
		return tools.Result{}, context.Cause(ctx)
	}
	if err != nil {
		args.again()
		return failed(fmt.Errorf("the answer broke off: %s", secrets.Redact(err.Error())), l), nil
	}
	return h.read(resp, body, secrets, args, l), nil
}

// read is what the model is told of an answer.
func (h *httpRequest) read(resp *http.Response, body []byte, secrets secret.Values, args arguments, l tools.Limits) tools.Result {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	text := decoded(body, resp.Header.Get("Content-Type"))
	if utf8.ValidString(text) {
		text = strings.TrimSpace(secrets.Redact(text))
	} else {
		text = fmt.Sprintf("[%s, %d bytes]", clip(kind), len(body))
	}
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		if temporary(resp.StatusCode) {
			args.after(retryAfter(resp))
		}
		if to, err := resp.Location(); err == nil && resp.StatusCode < 400 {
			text = "the service redirects to " + clip(secrets.Redact(to.Redacted())) + ", which is not followed"
		}
		reason := fmt.Sprintf("HTTP %d", resp.StatusCode)
		if text != "" {
			reason += ": " + sandbox.Cut(text, min(l.Output, maxStderr))
		}
		return failed(errors.New(reason), l)
	case len(body) > maxBody:
		return failed(fmt.Errorf("the answer is longer than %d bytes", maxBody), l)
	}
	return tools.Result{Text: text}
}

// decoded is a body in UTF-8, if it is said to be a text in another encoding. Services
// name one of pictures, too.
func decoded(body []byte, contentType string) string {
	kind, params, _ := mime.ParseMediaType(contentType)
	text := strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "json") || strings.HasSuffix(kind, "xml")
	encoding, name := charset.Lookup(params["charset"])
	if !text || encoding == nil || name == "utf-8" {
		return string(body)
	}
	out, _, err := transform.Bytes(unicode.BOMOverride(encoding.NewDecoder()), body)
	if err != nil {
		return string(body)
	}
	return string(out)
}

// temporary are the statuses after which a request may be made again.
func temporary(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusBadGateway ||
		status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// retryAfter is how long a service wants to be left alone, in seconds.
func retryAfter(resp *http.Response) time.Duration {
	n, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// request fills the templates in. The error is for the model.
func (h *httpRequest) request(ctx context.Context, args arguments, secrets secret.Values) (*http.Request, error) {
	path, err := h.url.expand(args.values, secrets, segment)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(h.origin.String() + path)
	if err != nil {
		return nil, fmt.Errorf("invalid arguments: %w", err)
	}
	query := url.Values{}
	for name, t := range h.query {
		if err := fill(t, args, secrets, verbatim, func(v string) { query.Set(name, v) }); err != nil {
			return nil, err
		}
	}
	u.RawQuery = query.Encode()
	var body io.Reader
	if h.sends() {
		text, err := h.content(args, secrets)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, h.Method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("invalid arguments: %w", err)
	}
	req.Header.Set("User-Agent", "chorale")
	req.Header.Set("Accept", "application/json, text/*;q=0.9, */*;q=0.5")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if h.idempotency != "" {
		req.Header.Set(h.idempotency, args.key)
	}
	for name, t := range h.headers {
		if err := fill(t, args, secrets, line, func(v string) { req.Header.Set(name, v) }); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// fill expands a template that may be left out with its argument.
func fill(t template, args arguments, secrets secret.Values, spell func(string) (string, error), set func(string)) error {
	if name, ok := t.alone(); ok {
		if _, given := args.values[name]; !given {
			return nil
		}
	}
	text, err := t.expand(args.values, secrets, spell)
	if err == nil {
		set(text)
	}
	return err
}

// content is the body of a request.
func (h *httpRequest) content(args arguments, secrets secret.Values) ([]byte, error) {
	if h.body == nil {
		return []byte(args.json), nil
	}
	v, _, err := h.fillIn(h.body, args, secrets)
	if err != nil {
		return nil, err
	}
	return encode(v)
}

// fillIn puts arguments into a body. One that is all of a text keeps its type;
// what is missing is left out.
func (h *httpRequest) fillIn(v any, args arguments, secrets secret.Values) (out any, present bool, err error) {
	switch v := v.(type) {
	case template:
		if name, ok := v.alone(); ok {
			value, given := args.values[name]
			return value, given, nil
		}
		text, err := v.expand(args.values, secrets, verbatim)
		return text, true, err
	case []any:
		list := []any{}
		for _, item := range v {
			got, present, err := h.fillIn(item, args, secrets)
			if err != nil {
				return nil, false, err
			}
			if present {
				list = append(list, got)
			}
		}
		return list, true, nil
	case map[string]any:
		object := map[string]any{}
		for key, item := range v {
			got, present, err := h.fillIn(item, args, secrets)
			if err != nil {
				return nil, false, err
			}
			if present {
				object[key] = got
			}
		}
		return object, true, nil
	}
	return v, true, nil
}

// How an argument is spelt in its place.

func verbatim(s string) (string, error) { return s, nil }

// segment is an argument in a path: it stays within its segment.
func segment(s string) (string, error) {
	if s == "" || s == "." || s == ".." {
		return "", fmt.Errorf("%q cannot stand in an address", s)
	}
	return url.PathEscape(s), nil
}

// line is an argument in a header: it cannot begin another.
func line(s string) (string, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errors.New("must be one line")
	}
	return s, nil
}
