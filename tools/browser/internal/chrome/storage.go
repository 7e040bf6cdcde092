package chrome

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Storage is what the pages of an origin keep in localStorage.
type Storage struct {
	Origin string
	Items  map[string]string
}

const storageScript = `(() => { try { return { Origin: location.origin, Items: Object.fromEntries(Object.entries(localStorage)) } } catch { return {} } })()`

// storage reads it from a page; nothing where a page has none.
func (t *tab) storage(ctx context.Context) (s Storage) {
	raw, err := t.evaluate(ctx, storageScript)
	if err != nil || json.Unmarshal(raw, &s) != nil || !strings.HasPrefix(s.Origin, "http") {
		return Storage{}
	}
	return s
}

// Storage reads that of a live page.
func (l *Live) Storage(ctx context.Context) Storage {
	l.t.b.loading.Lock()
	defer l.t.b.loading.Unlock()
	return l.t.storage(ctx)
}

// SetStorage puts what origins keep into the shared context. It opens an empty
// page of each, for which nothing is requested.
func (b *Browser) SetStorage(ctx context.Context, all []Storage) error {
	if len(all) == 0 {
		return nil
	}
	b.loading.Lock()
	defer b.loading.Unlock()
	t, err := b.newTab(ctx, Limits{Time: callTime, Memory: maxMemory})
	if err != nil {
		return err
	}
	defer t.dispose()
	if err := t.call(ctx, "Fetch.enable", nil, nil); err != nil {
		return err
	}
	for _, s := range all {
		if err := t.keep(ctx, s); err != nil {
			return fmt.Errorf("the storage of %s: %w", s.Origin, err)
		}
	}
	return nil
}

// keep has an empty page of an origin keep its items.
func (t *tab) keep(ctx context.Context, s Storage) error {
	select {
	case err := <-t.navigate(s.Origin + "/"):
		if err != nil {
			return t.because(err)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	items, err := json.Marshal(s.Items)
	if err != nil {
		return err
	}
	_, err = t.evaluate(ctx, fmt.Sprintf("for (const [k, v] of Object.entries(%s)) localStorage.setItem(k, v)", items))
	return err
}

// fulfil answers a request with an empty page.
func (t *tab) fulfil(request string) {
	ctx, cancel := context.WithTimeout(t.alive, callTime)
	defer cancel()
	t.call(ctx, "Fetch.fulfillRequest", map[string]any{"requestId": request, "responseCode": 200,
		"responseHeaders": []map[string]string{{"name": "Content-Type", "value": "text/html"}}}, nil)
}
