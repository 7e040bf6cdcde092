package browser

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chorale/tools"
)

// depot is a server of files. What stands in a query is the name that it gives
// them.
func depot(other string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		send := func(kind, name, text string) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Disposition", name)
			io.WriteString(w, text)
		}
		switch r.URL.Path {
		case "/":
			send("text/html", "", `<title>Depot</title><a href=/zip>Zip</a> <a href=/zip target=_blank>Window</a> <a href=/out>Out</a>
				<a href="data:application/zip,x" download=data.zip>Data</a> <button onclick="a=document.createElement('a');
				a.href=window.URL.createObjectURL(new Blob(['x']));a.download='blob.zip';a.click()">Blob</button>
				<a href=/member>Member</a> <a href=/data.csv download="my table.csv">Table</a> <a href=/big>Big</a>
				<iframe src=/inner></iframe><form action=/made method=post><button>Make</button></form>
				<script>document.cookie="sid=42;samesite=strict"; document.cookie="elsewhere=1;path=/far"</script>`)
		case "/inner":
			send("text/html", "", "<a href=/zip>Framed</a>")
		case "/zip":
			send("application/zip", `attachment; filename="list.zip"`, "PK34567890")
		case "/odd":
			send("application/zip", r.URL.Query().Get("as"), "odd")
		case "/data.csv":
			send("text/csv", "", "a,b\n1,2\n")
		case "/table":
			send("text/csv", "attachment; filename=table.csv", "a,b\n1,2\n")
		case "/big":
			send("application/zip", "attachment", strings.Repeat("x", 1000))
		case "/never":
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Disposition", "attachment; filename=never.bin")
			for range 100 {
				io.WriteString(w, strings.Repeat("x", 1000))
				http.NewResponseController(w).Flush()
			}
		case "/slow":
			w.Header().Set("Content-Type", "application/zip")
			io.WriteString(w, "x")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/drip":
			w.Header().Set("Content-Type", r.URL.Query().Get("type"))
			w.Header().Set("Content-Disposition", "attachment; filename=drip")
			for range 10 {
				io.WriteString(w, "%PDF-")
				http.NewResponseController(w).Flush()
				time.Sleep(200 * time.Millisecond)
			}
		case "/short":
			w.Header().Set("Content-Length", "20")
			send("application/zip", "attachment; filename=short.zip", "ten bytes.")
		case "/half":
			w.Header().Set("Content-Length", "20")
			send("text/csv", "attachment; filename=half.csv", "a,b\n1,2\n")
		case "/packed":
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Disposition", "attachment; filename=packed.bin")
			z := gzip.NewWriter(w)
			io.WriteString(z, strings.Repeat("0", 50))
			z.Close()
		case "/gone":
			w.Header().Set("Content-Disposition", "attachment; filename=gone.zip")
			w.WriteHeader(http.StatusGone)
		case "/out":
			http.Redirect(w, r, "http://"+other+"/zip", http.StatusFound)
		case "/member":
			if r.Header.Get("Cookie") != "sid=42" {
				send("text/html", "", "<title>Login</title>Log in, "+r.Header.Get("Cookie"))
				return
			}
			send("application/octet-stream", "attachment; filename=member.bin", "secret")
		case "/made":
			if r.Method != http.MethodPost {
				http.Error(w, "POST, please", http.StatusMethodNotAllowed)
				return
			}
			send("application/zip", "attachment; filename=made.zip", "made")
		default:
			http.NotFound(w, r)
		}
	}))
}

// kept checks what a call kept, against the folder and the artifacts that it
// names.
func kept(t *testing.T, dir string, r tools.Result, name, content string) {
	t.Helper()
	at := filepath.Join(dir, "downloads", name)
	got, err := os.ReadFile(at)
	if err != nil || string(got) != content {
		t.Errorf("%s holds %q, %v; want %q", name, got, err, content)
	}
	want := []tools.Artifact{{Name: "downloads/" + name, Path: at, Size: int64(len(content))}}
	if !slices.Equal(r.Artifacts, want) || r.Failed {
		t.Errorf("the result is %+v, want the artifacts %+v", r, want)
	}
}

// holds checks the names in a folder.
func holds(t *testing.T, dir string, names ...string) {
	t.Helper()
	var got []string
	entries, _ := os.ReadDir(filepath.Join(dir, "downloads"))
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Errorf("the folder holds %q, want %q", got, names)
	}
}

func openDepot(t *testing.T, srv *httptest.Server, o Options) (*Browser, string) {
	t.Helper()
	o.Allow, o.Tokens, o.Dir = []string{srv.Listener.Addr().String()}, o200k, t.TempDir()
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, o.Dir
}

// TestSlowDownloads keeps what takes longer to come than a page may, as long as it goes on,
// whatever it is.
func TestSlowDownloads(t *testing.T) {
	srv := depot("")
	defer srv.Close()
	for _, kind := range []string{"application/zip", "text/csv", "application/pdf"} {
		b, dir := openDepot(t, srv, Options{Downloads: 100})
		b.web.client.Time = time.Second
		r := open(t, b, srv.URL+"/drip?type="+kind)
		r.Failed = false // this PDF cannot be read
		kept(t, dir, r, "drip", strings.Repeat("%PDF-", 10))
	}
}

// TestDownloads opens what a server sends to be saved.
func TestDownloads(t *testing.T) {
	other := depot("")
	defer other.Close()
	srv := depot(other.Listener.Addr().String())
	defer srv.Close()
	scripts := []bool{false}
	if _, err := FindChromium(); err == nil || os.Getenv("CI") == "true" {
		scripts = append(scripts, true)
	}
	for _, js := range scripts {
		t.Run(fmt.Sprintf("scripts %v", js), func(t *testing.T) {
			b, dir := openDepot(t, srv, Options{JavaScript: js, Downloads: 100})
			r := open(t, b, srv.URL+"/zip")
			kept(t, dir, r, "list.zip", "PK34567890")
			if want := "[Note: The address is a download. Kept for the user: downloads/list.zip, type \nL3: application/zip, 10 bytes.]"; !strings.Contains(r.Text, want) || !strings.HasPrefix(r.Text, "[0] list.zip (") {
				t.Errorf("want %q in %s", want, r.Text)
			}
			kept(t, dir, open(t, b, srv.URL+"/zip"), "list-2.zip", "PK34567890")
			r = open(t, b, srv.URL+"/table") // what can be read is shown as well
			kept(t, dir, r, "table.csv", "a,b\n1,2\n")
			if !strings.Contains(r.Text, "1,2") || !strings.Contains(r.Text, "Kept for the user: downloads/table.csv") {
				t.Errorf("the table: %s", r.Text)
			}
			if r := open(t, b, srv.URL+"/out"); !r.Failed || !strings.Contains(r.Text, "is not allowed: no entry") {
				t.Errorf("a redirect: %+v", r)
			}
			if r := open(t, b, srv.URL+"/data.csv"); len(r.Artifacts) > 0 || strings.Contains(r.Text, "download") {
				t.Errorf("a page is a download: %+v", r)
			}
			holds(t, dir, "list.zip", "list-2.zip", "table.csv")

			b, dir = openDepot(t, srv, Options{JavaScript: js})
			if r := open(t, b, srv.URL+"/zip"); !r.Failed || !strings.Contains(r.Text, `a download, not a page: "list.zip", type application/zip, 10 bytes; only text can be read`) {
				t.Errorf("not granted: %+v", r)
			}
			if r := open(t, b, srv.URL+"/table"); r.Failed || strings.Contains(r.Text, "Kept") || !strings.Contains(r.Text, "1,2") {
				t.Errorf("not granted, as text: %+v", r)
			}
			holds(t, dir)
		})
	}
}

// TestDownloadLimit: all files together are within it, and what is not is not
// there at all.
func TestDownloadLimit(t *testing.T) {
	srv := depot("")
	defer srv.Close()
	b, dir := openDepot(t, srv, Options{Downloads: 90})
	kept(t, dir, open(t, b, srv.URL+"/packed"), "packed.bin", strings.Repeat("0", 50))
	for path, want := range map[string]string{
		"/big":   "it was not kept: it is too large: 40 bytes left",
		"/never": "it was not kept: it is too large: 40 bytes left",
		"/short": "it was not kept: it broke off: unexpected EOF",
		"/gone":  "HTTP status 410",
	} {
		if r := open(t, b, srv.URL+path); !r.Failed || !strings.Contains(r.Text, want) || len(r.Artifacts) > 0 {
			t.Errorf("%s: want %q in %+v", path, want, r)
		}
	}
	if r := open(t, b, srv.URL+"/half"); !strings.Contains(r.Text, "which was not kept: it broke off") || !strings.Contains(r.Text, "1,2") {
		t.Errorf("half a table: %+v", r)
	}
	kept(t, dir, open(t, b, srv.URL+"/zip"), "list.zip", "PK34567890")
	kept(t, dir, open(t, b, srv.URL+"/zip"), "list-2.zip", "PK34567890")
	kept(t, dir, open(t, b, srv.URL+"/zip"), "list-3.zip", "PK34567890")
	if r := open(t, b, srv.URL+"/half"); !strings.Contains(r.Text, "which was not kept: it is too large: 10") {
		t.Errorf("what is announced as too large: %+v", r)
	}
	r := open(t, b, srv.URL+"/table")
	kept(t, dir, r, "table.csv", "a,b\n1,2\n")
	r = open(t, b, srv.URL+"/table")
	if r.Failed || len(r.Artifacts) > 0 || !strings.Contains(r.Text, "which was not kept: it is too large: 2 bytes") || !strings.Contains(r.Text, "1,2") {
		t.Errorf("a table that is not kept: %+v", r)
	}
	b.web.client.Time = 500 * time.Millisecond
	if r := open(t, b, srv.URL+"/slow"); !strings.Contains(r.Text, "it was not kept: it broke off: the server took longer than 500ms") {
		t.Errorf("a download that stalls: %+v", r)
	}
	b.web.client.Time = time.Minute
	slow := openCall(srv.URL + "/slow")
	slow.Limits.Time = time.Second
	if r, err := b.Call(t.Context(), slow); err != nil || !r.Failed || !strings.Contains(r.Text, "time limit") {
		t.Errorf("a download that never ends: %+v, %v", r, err)
	}
	holds(t, dir, "list.zip", "list-2.zip", "list-3.zip", "packed.bin", "table.csv")
}

// TestDownloadNames has servers name files as they like.
func TestDownloadNames(t *testing.T) {
	srv := depot("")
	defer srv.Close()
	b, dir := openDepot(t, srv, Options{Downloads: 1 << 20})
	os.Mkdir(filepath.Join(dir, "downloads"), 0o700)
	os.Symlink("/nowhere", filepath.Join(dir, "downloads", "link"))
	names := []string{"link"}
	for _, c := range [][2]string{
		{`attachment; filename="../../x"`, "x"},
		{`attachment; filename="..\\..\\y.txt"`, "y.txt"},
		{`attachment; filename="/etc/passwd"`, "passwd"},
		{`attachment; filename="` + strings.Repeat("e", 300) + `.zip"`, strings.Repeat("e", 116) + ".zip"},
		{`attachment; filename="x.` + strings.Repeat("e", 300) + `"`, "x." + strings.Repeat("e", 118)},
		{`attachment; filename*=UTF-8''a%E2%80%AEgpj.exe`, "agpj.exe"},
		{`attachment; filename*=UTF-8''%1B%5B1mred%00%0A`, "[1mred"},
		{`attachment; filename*=UTF-8''` + strings.Repeat("%C3%A9", 100) + `.zip`, strings.Repeat("é", 58) + ".zip"},
		{`attachment; filename=".. .bashrc. . "`, "bashrc"},
		{`attachment; filename="..."`, "download"},
		{`attachment; filename=""`, "odd"},
		{`attachment; filename="a:b|c?.txt"`, "a_b_c_.txt"},
		{`attachment; filename=not quoted.zip`, "odd-2"},
		{`inline`, "odd-3"},
		{`attachment; filename=link`, "link-2"},
	} {
		kept(t, dir, open(t, b, srv.URL+"/odd?as="+url.QueryEscape(c[0])), c[1], "odd")
		names = append(names, c[1])
	}
	holds(t, dir, names...)
	elsewhere := t.TempDir()
	b.web.files.dir = t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(b.web.files.dir, "downloads")); err == nil {
		r := open(t, b, srv.URL+"/zip")
		if files, _ := os.ReadDir(elsewhere); !strings.Contains(r.Text, "it was not kept: no file can be made for it") || len(files) > 0 {
			t.Errorf("through a link out of the folder: %+v, files %v", r, files)
		}
	}
	for _, name := range []string{"", ".", "/", "\u202e", "a/", "\xff\xfe", "  "} {
		if got := cleanName(name); got == "" || got != filepath.Base(got) || strings.HasPrefix(got, ".") {
			t.Errorf("%q became %q", name, got)
		}
	}
}

// TestDownloadByClick has pages start downloads.
func TestDownloadByClick(t *testing.T) {
	needChromium(t)
	other := depot("")
	defer other.Close()
	srv := depot(other.Listener.Addr().String())
	defer srv.Close()
	b, dir := openDepot(t, srv, Options{JavaScript: true, Pages: true, Downloads: 40})
	p := &pages{t, b, map[string]string{}}
	open(t, b, srv.URL+"/")
	p.says("page_snapshot", `{}`, `link "Zip"`)
	click := func(name string) tools.Result { return p.page("page_click", `{"ref": "<`+name+`>"}`) }

	r := click("Zip")
	kept(t, dir, r, "list.zip", "PK34567890")
	if want := `It started a download of "list.zip", kept for the user: downloads/list.zip, type application/zip, 10 bytes.`; !strings.Contains(r.Text, want) {
		t.Errorf("want %q in %s", want, r.Text)
	}
	kept(t, dir, click("Table"), "my table.csv", "a,b\n1,2\n")
	kept(t, dir, click("Member"), "member.bin", "secret")
	kept(t, dir, open(t, b, srv.URL+"/member"), "member-2.bin", "secret")
	for name, want := range map[string]string{
		"Data": `a download of "data.zip", which was not kept: the page made it itself`,
		"Blob": `a download of "blob.zip", which was not kept: the page made it itself`,
		"Big":  "which was not kept: it is too large: 10 bytes left",
	} {
		if r := click(name); !strings.Contains(r.Text, want) || len(r.Artifacts) > 0 {
			t.Errorf("%s: want %q in %+v", name, want, r)
		}
	}
	p.says("page_click", `{"ref": "<Out>"}`, "failed", "is not allowed")
	p.says("page_snapshot", `{}`)
	p.says("page_click", `{"ref": "<Make>"}`, `"made.zip", which was not kept: HTTP status 405`)
	kept(t, dir, click("Window"), "list-2.zip", "PK34567890")
	p.says("page_click", `{"ref": "<Framed>"}`, `"list.zip", which was not kept: it is too large: 0 bytes left`)
	holds(t, dir, "list.zip", "my table.csv", "member.bin", "member-2.bin", "list-2.zip")
}
