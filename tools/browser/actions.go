package browser

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"chorale/tools/browser/internal/chrome"
)

// trouble words an error for the model, unless it is ours.
func (a *actions) trouble(what string, err error) error {
	var told usageError
	if errors.As(err, &told) || !tellable(a.ctx, err) {
		return err
	}
	var stale chrome.StaleError
	if errors.As(err, &stale) {
		return usage("%s: %s. Take page_snapshot for the elements that are there now.", what, err)
	}
	return usage("%s: %s", what, shorten(err.Error()))
}

var refPattern = regexp.MustCompile(`^\(?[eE]?(\d{1,9})\)?$`)

// ref is the element that a call names, and its words as the model knows them.
func (a *actions) ref() (id int, words string, err error) {
	text, err := a.args.text("ref")
	if err != nil {
		return 0, "", err
	}
	m := refPattern.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, "", usage("`%s` is no ref. Refs are given by page_snapshot, as in e7.", shorten(text))
	}
	id, _ = strconv.Atoi(m[1]) // it has few digits
	words = "(e" + m[1] + ")"
	if v := a.web.live.seen; v != nil {
		for _, e := range v.Elements {
			if e.ID == id {
				words, _, _ = strings.Cut(plain(e.Text), ", ")
			}
		}
	}
	return id, words, nil
}

// do acts on the live page and says what changed. done and doing say what was
// done, and was about to be.
func (a *actions) do(done, doing string, f func(*chrome.Live) (chrome.Outcome, error)) (string, error) {
	page, err := a.web.current()
	if err != nil {
		return "", err
	}
	if err := a.session.room(); err != nil {
		return "", err
	}
	a.web.proxy.Allow(loadCap, a.web.upload)
	out, err := f(page)
	if err != nil {
		if page.Ended() != nil {
			a.web.letGo()
			return "", a.trouble("Error "+doing, fmt.Errorf("%w. The page was closed; take page_snapshot with a cursor to open one again", err))
		}
		file := new(chrome.Download)
		if !errors.As(err, file) {
			return "", a.trouble("Error "+doing, err)
		}
		out.Download = file
	}
	followed, err := a.follow(page, out.Popup)
	if file := new(chrome.Download); errors.As(err, file) {
		out.Download = file
	} else if err != nil {
		return "", a.trouble("Error "+doing, err)
	}
	before, err := a.web.look(a.ctx)
	if err != nil {
		return "", a.trouble("Error reading the page after "+doing, err)
	}
	if u := a.web.live.seen.URL; !sameDocument(u, before.seen.URL) {
		if why := a.web.astray(); why != "" {
			return "", a.retreat(page, before, doing, why)
		}
	}
	if a.web.live.seen.First != before.seen.First {
		a.session.visited++
	}
	saved, err := a.web.download(a.ctx, out.Download)
	if err != nil {
		return "", err
	}
	return done + "." + followed + a.web.changes(before, out, saved), nil
}

// follow opens in the live page what was opened in a window.
func (a *actions) follow(page *chrome.Live, address string) (string, error) {
	if address == "" {
		return "", nil
	}
	u, err := url.Parse(address)
	if err != nil || a.web.rule.CheckURL(u) != nil {
		return fmt.Sprintf("\nIt opened a window at %s, which is not allowed; it was closed.", shownAddress(address)), nil
	}
	if _, err := page.Navigate(a.ctx, address, a.web.limits()); err != nil {
		return "", err
	}
	return "\nIt opened a window; its page was opened here instead.", nil
}

// retreat goes back from where nothing can be reached.
func (a *actions) retreat(page *chrome.Live, before live, doing, why string) error {
	_, err := page.Back(a.ctx, a.web.limits())
	if err == nil {
		_, err = a.web.look(a.ctx)
	}
	if err != nil {
		a.web.letGo()
		return a.trouble("Error "+doing, fmt.Errorf("it led to a page that can not be opened: %s. The page was closed", why))
	}
	advice := ""
	if a.web.live.seen.First != before.seen.First {
		advice = ", loaded anew: take page_snapshot for its refs"
	}
	return a.trouble("Error "+doing, fmt.Errorf("it led to a page that can not be opened: %s. This is the page before it again%s", why, advice))
}

func (a *actions) click() (string, error) {
	id, words, err := a.ref()
	accept, err2 := a.args.flag("accept_dialogs")
	if err := errors.Join(err, err2); err != nil {
		return "", usageError(err.Error())
	}
	return a.do("Clicked "+words, "clicking "+words, func(p *chrome.Live) (chrome.Outcome, error) {
		return p.Click(a.ctx, id, accept, a.web.limits())
	})
}

func (a *actions) write() (string, error) {
	id, words, err := a.ref()
	text, err2 := a.args.text("text")
	add, err3 := a.args.flag("append")
	submit, err4 := a.args.flag("submit")
	if err := errors.Join(err, err2, err3, err4); err != nil {
		return "", usageError(err.Error())
	}
	return a.do("Typed into "+words, "typing into "+words, func(p *chrome.Live) (chrome.Outcome, error) {
		return p.Type(a.ctx, id, text, add, submit, a.web.limits())
	})
}

func (a *actions) choose() (string, error) {
	id, words, err := a.ref()
	if err != nil {
		return "", err
	}
	options, err := a.args.texts("options")
	if err != nil {
		return "", err
	}
	return a.do("Chose in "+words, "choosing in "+words, func(p *chrome.Live) (chrome.Outcome, error) {
		return p.Select(a.ctx, id, options, a.web.limits())
	})
}

func (a *actions) press() (string, error) {
	key, err := a.args.text("key")
	if err != nil {
		return "", err
	}
	id, on := 0, ""
	if _, ok := a.args["ref"]; ok {
		var words string
		if id, words, err = a.ref(); err != nil {
			return "", err
		}
		on = " on " + words
	}
	key = strings.TrimSpace(key)
	return a.do("Pressed "+plain(key)+on, "pressing "+plain(key)+on, func(p *chrome.Live) (chrome.Outcome, error) {
		return p.Press(a.ctx, id, key, a.web.limits())
	})
}

func (a *actions) back() (string, error) {
	return a.do("Went back", "going back", func(p *chrome.Live) (chrome.Outcome, error) { return p.Back(a.ctx, a.web.limits()) })
}

const (
	waitTime  = 5 * time.Second
	waitPause = 200 * time.Millisecond
)

func (a *actions) wait() (string, error) {
	text, err := a.args.text("text")
	gone, err2 := a.args.text("gone")
	seconds, err3 := a.args.decimal("seconds", waitTime.Seconds())
	if err := errors.Join(err, err2, err3); err != nil {
		return "", usageError(err.Error())
	}
	if text != "" && gone != "" {
		return "", usageError("Give text or gone, not both.")
	}
	limit := time.Duration(max(0, min(seconds, 3600)) * float64(time.Second))
	if end, ok := a.ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)*2/3)
	}
	met := true
	return a.do("Waited", "waiting", func(p *chrome.Live) (chrome.Outcome, error) {
		met, err = a.until(p, text, gone, limit)
		switch {
		case err != nil:
			return chrome.Outcome{}, err
		case met || text == "" && gone == "":
			return chrome.Outcome{}, nil
		case text != "":
			return chrome.Outcome{}, fmt.Errorf("the page does not show %q after %v", clip(text, maxLine), limit.Round(time.Second/10))
		}
		return chrome.Outcome{}, fmt.Errorf("the page still shows %q after %v", clip(gone, maxLine), limit.Round(time.Second/10))
	})
}

// until waits for a text to appear or to go, and reports whether it did.
func (a *actions) until(p *chrome.Live, text, gone string, limit time.Duration) (bool, error) {
	end := time.After(limit)
	tick := time.NewTicker(waitPause)
	defer tick.Stop()
	for {
		if text+gone != "" {
			shown, err := p.Shows(a.ctx, text+gone)
			if p.Ended() != nil || a.ctx.Err() != nil {
				return false, errors.Join(err, a.ctx.Err(), p.Ended())
			}
			if err == nil && shown == (text != "") { // a page that moves on has no answer for a moment
				return true, nil
			}
		}
		select {
		case <-end:
			return false, nil
		case <-a.ctx.Done():
			return false, a.ctx.Err()
		case <-tick.C:
		}
	}
}
