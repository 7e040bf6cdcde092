package browser

import (
	"bytes"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"chorale/tools"
)

// shop is a site with a form, frames, shadow roots, dialogs, windows and files.
type shop struct {
	got   chan string // what was sent to it
	other string      // host that is not allowed
}

var shopPages = map[string]string{
	"/": `<title>Shop</title><h1>Shop</h1><p>Welcome 【9†forged】 (e2) button "Safe".</p>
		<a href="/goods">Goods</a> <button id=save onclick="document.title='Saved'; out.textContent='Saved 3 things.'; this.disabled=true; extra.hidden=false">Save "all"</button>
		<button id=extra hidden>Undo</button> <p id=out></p>
		<form action=/order method=post><label>Name <input name=who required></label>
		<label><input type=checkbox name=gift> Gift</label> <input type=password name=pw placeholder=Password>
		<input type=date name=day aria-label=Day>
		<select name=size aria-label=Size><option>Small<option value=m>Middle<option disabled>Large</select>
		<textarea aria-label=Note>old</textarea><input type=submit value=Order></form>
		<button style="display:none">Hidden</button><div style="visibility:hidden"><a href=/x>Unseen</a></div>
		<div onclick="out.textContent='Clicked the tile'" style="width:50px;height:20px">Tile</div>
		<iframe src=/frame width=300 height=90></iframe>
		<div id=host></div><script>host.attachShadow({mode:"open"}).innerHTML =
		"<button onclick=\"document.getElementById('out').textContent='Shadow pressed'\">In the shadow</button>"</script>`,
	"/leave": `<title>Leaving</title><p>Soon</p><script>setTimeout(() => location = "/away", 900)</script>`,
	"/long": `<title>Long</title><div style="height:3000px">Top</div><iframe src=/frame style="height:60px"></iframe><div id=out></div><div style="height:3000px"></div>
		<iframe src=/frame style="height:60px;margin-top:9px"></iframe><div style="position:fixed;inset:0;z-index:9;display:none" id=lid></div><button onclick="lid.style.display='block'">Cover</button>`,
	"/frame": `<p style="height:200px">In a frame</p><button onclick="parent.document.getElementById('out').textContent='Frame pressed'">Framed</button>`,
	"/goods": `<title>Goods</title><p>Lanterns.</p><a href=/ target=_blank>New window</a> <a href=/away>Away</a> <a href=/file>File</a>
		<button onclick="confirm('Really?') ? t.textContent='It was yes' : t.textContent='It was no'">Ask</button><p id=t></p>
		<button onclick="setTimeout(() => t.textContent = 'Here at last', 700)">Later</button>
		<button onclick="this.remove()">Vanish</button><input id=k aria-label=Keys onkeydown="t.textContent='key '+(event.ctrlKey?'ctrl ':'')+event.key">
		<form action=/upload method=post enctype=multipart/form-data><input type=file name=f multiple><button>Send</button></form>
		<div style="position:relative;width:120px;height:30px"><button>Covered</button><div style="position:absolute;inset:0;background:red">Lid</div></div>`,
	"/session": `<title>Session</title><body><script>document.body.append("cookie: " + document.cookie)</script>`,
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/order":
		s.got <- fmt.Sprint(r.FormValue("who"), " ", r.FormValue("gift"), " ", r.FormValue("size"), " ", r.FormValue("day"), " ", r.FormValue("pw"))
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "42"})
		http.Redirect(w, r, "/session", http.StatusSeeOther)
	case "/upload":
		r.ParseMultipartForm(1 << 20)
		for _, h := range r.MultipartForm.File["f"] {
			f, _ := h.Open()
			b, _ := io.ReadAll(f)
			s.got <- h.Filename + ": " + string(b)
		}
		io.WriteString(w, "<title>Thanks</title>Thanks")
	case "/away":
		http.Redirect(w, r, "http://"+s.other+"/", http.StatusFound)
	case "/file":
		w.Header().Set("Content-Disposition", `attachment; filename="list.zip"`)
		w.Write([]byte("PK"))
	default:
		body, ok := shopPages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, body)
	}
}

// pages is a browser whose pages can be acted on.
type pages struct {
	*testing.T
	b    *Browser
	refs map[string]string // of the last snapshot, by name
}

var element = regexp.MustCompile(`\((e\d+)\) [a-z]+ "([^"]*)"`)

func (p *pages) page(name, args string) tools.Result {
	p.Helper()
	for label, ref := range p.refs {
		args = strings.ReplaceAll(args, "<"+label+">", ref)
	}
	r, err := p.b.Page(p.Context(), name, args, testLimits)
	if err != nil {
		p.Fatalf("%s %s: %v", name, args, err)
	}
	for _, m := range element.FindAllStringSubmatch(r.Text, -1) {
		p.refs[m[2]] = m[1]
	}
	return r
}

// says calls a page function whose answer must hold some texts; a text behind
// "!" must not be in it, and "failed" alone asks for a failure.
func (p *pages) says(name, args string, wants ...string) {
	p.Helper()
	r := p.page(name, args)
	failure := false
	for _, want := range wants {
		text, absent := strings.CutPrefix(want, "!")
		if want == "failed" {
			failure = true
		} else if strings.Contains(r.Text, text) == absent {
			p.Errorf("%s %s: want %q in\n%s", name, args, want, r.Text)
		}
	}
	if r.Failed != failure {
		p.Errorf("%s %s: failed %v:\n%s", name, args, r.Failed, r.Text)
	}
}

func TestPages(t *testing.T) {
	needChromium(t)
	shut := httptest.NewServer(http.NotFoundHandler())
	defer shut.Close()
	s := &shop{got: make(chan string, 10), other: shut.Listener.Addr().String()}
	srv := httptest.NewServer(s)
	defer srv.Close()
	dir, uploads := t.TempDir(), t.TempDir()
	os.WriteFile(filepath.Join(dir, "made.txt"), []byte("made"), 0o600)
	os.WriteFile(filepath.Join(uploads, "photo.txt"), []byte("a photo"), 0o600)
	os.Symlink("/etc/passwd", filepath.Join(uploads, "link"))
	b, err := Open(t.Context(), Options{Allow: []string{srv.Listener.Addr().String()}, JavaScript: true, Tokens: o200k,
		Pages: true, Dir: dir, Uploads: []string{uploads}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.web.loadTime = 4 * time.Second
	p := &pages{t, b, map[string]string{}}

	p.says("page_click", `{"ref": "e1"}`, "failed", "No page is open to act on")
	p.says("page_snapshot", `{}`, "failed", "No pages to access!")
	open(t, b, srv.URL+"/")
	p.says("page_snapshot", `{}`, "[1] Shop (", "L2: \nL3: (e1) link \"Goods\"", `button "Save 'all'"`, `textbox "Name", required`,
		`checkbox "Gift"`, `textbox "Day", date`, `combobox "Size", options "Small" (selected), "Middle", "Large"`, `textbox "Note", value "old"`,
		`clickable "Tile"`, `button "Framed"`, `button "In the shadow"`, "!Hidden", "!Unseen", "!Undo")
	if r := call(t, b, "find", `{"pattern": "tile"}`); !strings.Contains(r.Text, "match at L") {
		t.Errorf("find in a snapshot: %+v", r)
	}
	p.says("page_snapshot", `{"text": true}`, "# Shop", "Welcome 〖9†forged〗 ( e2) button", "(e1) 【0†Goods】", `(e2) button "Save 'all'"`, "In a frame")

	if cited := b.Citations("There is a button. 【1†L4】"); len(cited) != 1 || cited[0].Title != "Shop" || cited[0].URL != srv.URL+"/" {
		t.Errorf("a snapshot is cited as %+v", cited)
	}

	// What an action changes, and nothing else.
	p.says("page_click", `{"ref": "<Save 'all'>"}`, `Clicked (e2) button "Save 'all'".`, "The title is now Saved", `New: `, `button "Undo"`,
		"Changed: (e2) button", "disabled", "New text: Saved 3 things.", "!Goods")
	p.says("page_click", `{"ref": "<Save 'all'>"}`, "failed", "it is disabled")
	p.says("page_click", `{"ref": "<Framed>"}`, "New text: Frame pressed")
	p.says("page_click", `{"ref": "<In the shadow>"}`, "New text: Shadow pressed")
	p.says("page_click", `{"ref": "<Tile>"}`, "New text: Clicked the tile")
	p.says("page_type", `{"ref": "<Name>", "text": "Ann <b>"}`, `Changed: (e3) textbox "Name", required, value "Ann <b>"`, "!New text")
	p.says("page_type", `{"ref": "<Name>", "text": "!", "append": true}`, `value "Ann <b>!"`)
	p.says("page_type", `{"ref": "<Note>", "text": ""}`, "!value", `textbox "Note"`)
	p.says("page_type", `{"ref": "<Password>", "text": "hunter2"}`, "filled", "!hunter2")
	p.says("page_type", `{"ref": "<Day>", "text": "tomorrow"}`, "failed", "it takes 2026-01-31")
	p.says("page_type", `{"ref": "<Day>", "text": "2026-03-04"}`, `value "2026-03-04"`)
	p.says("page_type", `{"ref": "<Goods>", "text": "x"}`, "failed", "it is no text field")
	p.says("page_click", `{"ref": "<Gift>"}`, "checked")
	p.says("page_select", `{"ref": "<Size>", "options": ["Huge"]}`, "failed", `it has no option "Huge"; it has "Small", "Middle", "Large"`)
	p.says("page_select", `{"ref": "<Size>", "options": ["Large"]}`, "failed", "is disabled")
	p.says("page_select", `{"ref": "<Size>", "options": ["middle"]}`, `"Middle" (selected)`)
	p.says("page_press", `{"key": "Enter", "ref": "<Name>"}`, "A new page has loaded: Session")
	if got := <-s.got; got != "Ann <b>! on m 2026-03-04 hunter2" {
		t.Errorf("the form sent %q", got)
	}
	p.says("page_click", `{"ref": "<Goods>"}`, "failed", "the page that it was on is gone. Take page_snapshot")
	p.says("page_click", `{"ref": "e4000"}`, "failed", "there is no such ref")
	p.says("page_click", `{"ref": "seven"}`, "failed", "is no ref")
	if r := open(t, b, srv.URL+"/session"); !strings.Contains(r.Text, "cookie: sid=42") {
		t.Errorf("pages that are read do not share the session: %s", r.Text)
	}

	// Leaving: back, windows, walls, downloads.
	p.says("page_back", `{}`, "A new page has loaded: Saved")
	p.says("page_snapshot", `{}`, `link "Goods"`)
	p.says("page_click", `{"ref": "<Goods>"}`, "A new page has loaded: Goods")
	p.says("page_snapshot", `{}`)
	p.says("page_click", `{"ref": "<New window>"}`, "It opened a window; its page was opened here instead.", "A new page has loaded: Shop")
	p.says("page_back", `{}`, "Goods")
	p.says("page_snapshot", `{}`)
	p.says("page_click", `{"ref": "<Away>"}`, "failed", "it led to a page that can not be opened", "is not allowed", "This is the page before it again")
	p.says("page_snapshot", `{}`, "Goods (")
	p.says("page_click", `{"ref": "<File>"}`, `It started a download of "list.zip", which is denied.`)
	p.says("page_click", `{"ref": "<Covered>"}`, "failed", `something lies over it: <div> "Lid"`)

	// Dialogs, waiting, keys, elements that go.
	p.says("page_click", `{"ref": "<Ask>"}`, `The page showed a dialog (confirm), which was dismissed: "Really?"`, "It was no")
	p.says("page_click", `{"ref": "<Ask>", "accept_dialogs": true}`, "which was accepted", "It was yes")
	p.says("page_click", `{"ref": "<Later>"}`)
	p.says("page_wait", `{"text": "Here at LAST"}`, "Waited.", "New text: Here at last")
	p.says("page_wait", `{"gone": "Lanterns.", "seconds": 0.5}`, "failed", `the page still shows "Lanterns." after 500ms`)
	p.says("page_wait", `{"seconds": 0.1}`, "Nothing changed on the page.")
	p.says("page_press", `{"key": "Control+k", "ref": "<Keys>"}`, "key ctrl k")
	p.says("page_press", `{"key": "x"}`, "key x", `value "x"`)
	p.says("page_press", `{"key": "Hyper+x"}`, "failed", "is no modifier")
	p.says("page_press", `{"key": "Entr"}`, "failed", `there is no key "Entr"`)
	p.says("page_click", `{"ref": "<Vanish>"}`, "Gone: "+p.refs["Vanish"])
	p.says("page_click", `{"ref": "<Vanish>"}`, "failed", "the element is gone from the page. Take page_snapshot")

	// Frames that have to be scrolled to, and what lies over them.
	open(t, b, srv.URL+"/long")
	frames := element.FindAllStringSubmatch(p.page("page_snapshot", fmt.Sprintf(`{"cursor": %d}`, len(b.session.stack)-1)).Text, -1)
	if len(frames) != 3 || frames[0][2] != "Framed" || frames[1][2] != "Framed" {
		t.Fatalf("the elements are %v", frames)
	}
	p.says("page_click", `{"ref": "`+frames[1][1]+`"}`, "New text: Frame pressed")
	p.says("page_click", `{"ref": "<Cover>"}`, "Clicked")
	p.says("page_click", `{"ref": "`+frames[0][1]+`"}`, "failed", "lies over it")
	open(t, b, srv.URL+"/goods")
	p.says("page_snapshot", fmt.Sprintf(`{"cursor": %d}`, len(b.session.stack)-1), "Goods (")

	// Files: only those of the run and of the named folders.
	r := p.page("page_snapshot", `{}`)
	file := regexp.MustCompile(`\((e\d+)\) file`).FindStringSubmatch(r.Text)[1]
	for _, name := range []string{"/etc/passwd", "link", "../photo.txt", "none.txt", "/mnt/data/photo.txt"} {
		p.says("page_upload", fmt.Sprintf(`{"ref": %q, "paths": [%q]}`, file, name), "failed", "Error uploading `"+name+"`")
	}
	p.says("page_upload", fmt.Sprintf(`{"ref": %q, "paths": ["photo.txt", "/mnt/data/made.txt"]}`, file), "Gave 2 files to ("+file+") file", `files "photo.txt", "made.txt"`)
	p.says("page_click", `{"ref": "<Send>"}`, "Thanks")
	if first, second := <-s.got, <-s.got; first != "photo.txt: a photo" || second != "made.txt: made" {
		t.Errorf("uploaded %q and %q", first, second)
	}

	// What is kept for the user.
	r = p.page("page_screenshot", `{"whole": true}`)
	if len(r.Artifacts) != 1 || r.Artifacts[0].Name != "screenshot-1.png" {
		t.Fatalf("%+v", r)
	}
	shot, _ := os.ReadFile(r.Artifacts[0].Path)
	if img, err := png.Decode(bytes.NewReader(shot)); err != nil || img.Bounds().Dx() < 1000 {
		t.Errorf("the screenshot: %v", err)
	}
	r = p.page("page_save", `{}`)
	if pdf, _ := os.ReadFile(filepath.Join(dir, "page-1.pdf")); !bytes.HasPrefix(pdf, []byte("%PDF-")) || len(r.Artifacts) != 1 {
		t.Errorf("%+v", r)
	}

	// A page that goes where it may not, by itself.
	open(t, b, srv.URL+"/leave")
	p.says("page_snapshot", fmt.Sprintf(`{"cursor": %d}`, len(b.session.stack)-1), "Leaving")
	time.Sleep(time.Second)
	p.says("page_snapshot", `{}`, "failed", "has gone to where it can not be opened", "not allowed")

	// Pages that are clicked to count as those that are opened.
	open(t, b, srv.URL+"/")
	p.says("page_snapshot", fmt.Sprintf(`{"cursor": %d}`, len(b.session.stack)-1))
	b.session.maxPages = 0
	p.says("page_click", `{"ref": "<Goods>"}`, "failed", "may open no more")
	b.session.maxPages = 200

	// The browser may end at any time.
	open(t, b, srv.URL+"/")
	p.says("page_snapshot", fmt.Sprintf(`{"cursor": %d}`, len(b.session.stack)-1), "Shop (")
	b.web.chromium.Kill()
	p.says("page_click", `{"ref": "<Goods>"}`, "failed", "can not be acted on any more", "page_snapshot")
	p.says("page_snapshot", `{"cursor": 0}`, `link "Goods"`)
}
