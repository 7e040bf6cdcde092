package chrome

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
)

// context makes the browser context that a new tab lives in, or returns the
// shared one.
func (b *Browser) context(ctx context.Context) (string, error) {
	if b.kept != "" {
		return b.kept, nil
	}
	var made struct{ BrowserContextID string }
	if err := b.conn.call(ctx, "", "Target.createBrowserContext", map[string]any{"disposeOnDetach": true}, &made); err != nil {
		return "", err
	}
	downloads := map[string]any{"behavior": "deny", "browserContextId": made.BrowserContextID, "eventsEnabled": true}
	if err := b.conn.call(ctx, "", "Browser.setDownloadBehavior", downloads, nil); err != nil {
		return "", err
	}
	if b.keep {
		b.kept = made.BrowserContextID
	}
	return made.BrowserContextID, nil
}

// leave throws away what a tab has opened: its context, or in the shared one the
// tab and its popups.
func (b *Browser) leave(ctx context.Context, t *tab) error {
	if t.contextID != b.kept {
		return b.conn.call(ctx, "", "Target.disposeBrowserContext", map[string]any{"browserContextId": t.contextID}, nil)
	}
	err := b.closeTarget(ctx, t.targetID)
	_, e := b.popups(ctx, t)
	return errors.Join(err, e)
}

func (b *Browser) closeTarget(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	return b.conn.call(ctx, "", "Target.closeTarget", map[string]any{"targetId": id}, nil)
}

// popups closes the windows that pages opened in a tab's context, and returns
// their addresses. Windows that are tabs of ours stay.
func (b *Browser) popups(ctx context.Context, t *tab) ([]string, error) {
	var all struct {
		TargetInfos []struct{ TargetID, Type, URL, BrowserContextID string }
	}
	if err := b.conn.call(ctx, "", "Target.getTargets", nil, &all); err != nil {
		return nil, err
	}
	var addresses []string
	var errs []error
	for _, info := range all.TargetInfos {
		b.mu.Lock()
		_, ours := b.crashed[info.TargetID]
		b.mu.Unlock()
		if info.Type != "page" || info.BrowserContextID != t.contextID || ours {
			continue
		}
		addresses = append(addresses, info.URL)
		errs = append(errs, b.closeTarget(ctx, info.TargetID))
	}
	return addresses, errors.Join(errs...)
}

// A Cookie is one that the browser keeps, as DevTools has them.
type Cookie map[string]any

// Cookies are those of the shared context.
func (b *Browser) Cookies(ctx context.Context) ([]Cookie, error) {
	b.loading.Lock()
	defer b.loading.Unlock()
	if b.kept == "" {
		return nil, nil
	}
	var all struct{ Cookies []Cookie }
	err := b.conn.call(ctx, "", "Storage.getCookies", map[string]any{"browserContextId": b.kept}, &all)
	return all.Cookies, err
}

// SetCookies puts cookies into the shared context.
func (b *Browser) SetCookies(ctx context.Context, cookies []Cookie) error {
	b.loading.Lock()
	defer b.loading.Unlock()
	if !b.keep || len(cookies) == 0 {
		return nil
	}
	id, err := b.context(ctx)
	if err != nil {
		return err
	}
	var list []Cookie
	for _, c := range cookies {
		list = append(list, c.settable())
	}
	if err := b.conn.call(ctx, "", "Storage.setCookies", map[string]any{"browserContextId": id, "cookies": list}, nil); err != nil {
		return fmt.Errorf("set cookies: %w", err)
	}
	return nil
}

// settable is a cookie as it can be set: one of a single host by an address of
// that host, or it would be sent to all below it.
func (c Cookie) settable() Cookie {
	out := maps.Clone(c)
	domain, _ := c["domain"].(string)
	if domain == "" || strings.HasPrefix(domain, ".") {
		return out
	}
	scheme := "http"
	if c["sourceScheme"] == "Secure" || c["secure"] == true {
		scheme = "https"
	}
	path, _ := c["path"].(string)
	if strings.Contains(domain, ":") {
		domain = "[" + strings.Trim(domain, "[]") + "]"
	}
	out["url"] = scheme + "://" + domain + path
	delete(out, "domain")
	return out
}

// HTTP is the cookie as a client of ours can send it to a host; nil if it is not
// that host's, or bound to what only the browser knows.
func (c Cookie) HTTP(host string) *http.Cookie {
	text := func(key string) string { s, _ := c[key].(string); return s }
	out := &http.Cookie{Name: text("name"), Value: text("value"), Path: text("path"), Secure: c["secure"] == true}
	if v := out.Value; len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' {
		out.Value, out.Quoted = v[1:len(v)-1], true
	}
	if c["sameSite"] == "Strict" {
		out.SameSite = http.SameSiteStrictMode
	}
	domain := text("domain")
	if strings.HasPrefix(domain, ".") {
		out.Domain = domain
	} else if strings.Trim(domain, "[]") != host {
		return nil
	}
	if c["partitionKey"] != nil || out.Valid() != nil {
		return nil
	}
	return out
}
