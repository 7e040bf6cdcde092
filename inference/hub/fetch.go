package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
)

// rounds is how often a file whose content is wrong is fetched from the start.
const rounds = 3

// Fetch brings a file of a revision into the folder below root, under a name of
// its own, which it returns with the file's SHA-256; the caller gives the file
// its place. What an earlier call, also of another process, left there is used.
// The file has the size and the digest that the hub gave, or there is an error.
func (c *Client) Fetch(ctx context.Context, r Revision, f File, root *os.Root, dir string, tell func(Event)) (name, sum string, err error) {
	d := &download{client: c, file: f, url: c.address(r, f.Path), tell: tell}
	name = path.Join(dir, partialName(f))
	if d.part, err = openPartial(root, name, f.Size); err != nil {
		return "", "", fmt.Errorf("fetch %s: %w", f.Path, err)
	}
	for round := 1; ; round++ {
		if sum, err = d.whole(ctx); err == nil || !errors.Is(err, errWrong) {
			break
		}
		if e := d.part.reset(); e != nil || round == rounds {
			err = errors.Join(err, e)
			break
		}
		tell(Discarded{f.Path, err})
	}
	if err = errors.Join(err, d.part.close()); err != nil {
		return "", "", fmt.Errorf("fetch %s: %w", f.Path, explain(err, r.Repo, r.Commit))
	}
	return name, sum, root.Remove(name + journalSuffix)
}

// Pending is how many bytes of a file an earlier Fetch left in the folder.
func Pending(root *os.Root, dir string, f File) int64 {
	name := path.Join(dir, partialName(f))
	if st, err := root.Lstat(name + journalSuffix); err != nil || !st.Mode().IsRegular() {
		return 0
	}
	p, err := openPartial(root, name, f.Size)
	if err != nil {
		return 0
	}
	defer p.close()
	return p.got()
}

// partialName is where a file lies until it is complete. It differs with the
// content, so that what is left of another revision is not taken for this one.
func partialName(f File) string {
	h := sha256.Sum256([]byte(f.Path + "\x00" + f.Digest.String()))
	return hex.EncodeToString(h[:12])
}

// errWrong means that what was fetched is not the file.
var errWrong = errors.New("the hub sends something else than it lists")

func wrong(err error) error { return fmt.Errorf("%w: %w", errWrong, err) }

// download is one file on its way.
type download struct {
	client *Client
	file   File
	url    *url.URL
	part   *partial
	tell   func(Event)

	mu  sync.Mutex
	got int64  // bytes that are here, those not in the journal included
	tag string // the entity tag that all parts must have; empty: not known
}

// whole fetches what is missing and checks the file.
func (d *download) whole(ctx context.Context) (string, error) {
	d.got, d.tag = 0, ""
	d.received(d.part.got())
	if err := d.fill(ctx); err != nil {
		return "", err
	}
	r := io.NewSectionReader(d.part.data, 0, d.part.size)
	sum, err := Sum(ctx, r, d.file.Size, d.file.Digest, func(done int64) { d.tell(Checking{d.file.Path, done}) })
	if err != nil && ctx.Err() == nil {
		err = wrong(err)
	}
	return sum, err
}

// fill fetches the missing spans. The first request says whether the server
// knows ranges; if it does the others run beside each other, else the first one
// brings the rest.
func (d *download) fill(ctx context.Context) error {
	todo := d.part.missing(d.client.span)
	if len(todo) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	take := func(s span, opened func(ranges bool)) {
		all.Go(func() {
			if err := d.take(ctx, s, opened); err != nil {
				cancel(err)
			}
		})
	}
	ranges := make(chan bool, 1)
	take(todo[0], func(yes bool) {
		select {
		case ranges <- yes:
		default: // a later attempt
		}
	})
	select {
	case yes := <-ranges:
		for _, s := range todo[1:] {
			if yes {
				take(s, func(bool) {})
			}
		}
	case <-ctx.Done():
	}
	all.Wait()
	return context.Cause(ctx)
}

// take fetches a span, in as many attempts as it takes.
func (d *download) take(ctx context.Context, s span, opened func(ranges bool)) error {
	return d.client.retry(ctx, d.client.tries.file, watcher(d.file.Path, d.tell), func() (bool, error) {
		before := s.at
		err := d.attempt(ctx, &s, opened)
		return s.at > before, err
	})
}

// attempt asks for a span and moves its start as far as bytes come. A server that
// sends the whole file is listened to until the end.
func (d *download) attempt(ctx context.Context, s *span, opened func(ranges bool)) error {
	select {
	case d.client.slots <- struct{}{}:
		defer func() { <-d.client.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	resp, end, err := d.client.do(ctx, http.MethodGet, d.url, http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", s.at, s.end-1)}})
	if err != nil {
		return err
	}
	defer end()
	if err := d.agrees(resp, *s); err != nil {
		return err
	}
	ranges := resp.StatusCode == http.StatusPartialContent
	opened(ranges)
	if !ranges {
		s.end = d.file.Size
		if _, err := io.CopyN(io.Discard, resp.Body, s.at); err != nil {
			return &brokenError{"read", short(err)}
		}
	}
	if err := d.copy(resp.Body, s); err != nil || ranges {
		return err
	}
	if n, _ := resp.Body.Read(make([]byte, 1)); n > 0 {
		return wrong(fmt.Errorf("more than %d bytes", d.file.Size))
	}
	return nil
}

// agrees checks what an answer says of itself: the range that was asked for, of a
// file of that size and content, and the same file as before.
func (d *download) agrees(resp *http.Response, s span) error {
	said := linkedTo(resp)
	if said.digest != (Digest{}) && said.digest != d.file.Digest {
		return wrong(fmt.Errorf("%s, listed is %s", said.digest, d.file.Digest))
	}
	if resp.StatusCode == http.StatusPartialContent {
		at, end, size, ok := parseRange(resp.Header.Get("Content-Range"))
		if !ok || at != s.at || end > s.end {
			return &brokenError{"ask for a range", fmt.Errorf("bytes %d to %d were asked for, the answer is Content-Range %q", s.at, s.end-1, clip(resp.Header.Get("Content-Range")))}
		}
		said.size = size
	}
	if said.size >= 0 && said.size != d.file.Size {
		return wrong(fmt.Errorf("%d bytes, listed are %d", said.size, d.file.Size))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tag != "" && said.tag != "" && d.tag != said.tag {
		return wrong(fmt.Errorf("the file changed while it was fetched (entity tag %s, before %s)", clip(said.tag), clip(d.tag)))
	}
	if said.tag != "" {
		d.tag = said.tag
	}
	return nil
}

// copy writes what comes to its place, and notes it piece by piece; the last one
// also when it is cut short.
func (d *download) copy(body io.Reader, s *span) (err error) {
	noted := s.at
	note := func() error {
		e := d.part.commit(span{noted, s.at})
		noted = s.at
		return e
	}
	defer func() {
		if e := note(); err == nil {
			err = e
		}
	}()
	buf := make([]byte, 256<<10)
	for s.at < s.end {
		n, err := body.Read(buf[:min(int64(len(buf)), s.end-s.at)])
		if n > 0 {
			if _, err := d.part.data.WriteAt(buf[:n], s.at); err != nil {
				return err
			}
			s.at += int64(n)
			d.received(int64(n))
		}
		if s.at-noted >= d.client.piece {
			if err := note(); err != nil {
				return err
			}
		}
		if err != nil && s.at < s.end {
			return &brokenError{"read", short(err)}
		}
	}
	return nil
}

// received tells of n more bytes.
func (d *download) received(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got += n
	d.tell(Received{d.file.Path, d.got})
}

// short is the error of a body that ends too early.
func short(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func isBroken(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// linked is what an answer says of the file.
type linked struct {
	size   int64  // -1: nothing
	digest Digest // zero: nothing
	tag    string // strong entity tag of the answer itself; empty: none
}

// linkedTo reads the headers of an answer and of the redirects on the way. For a
// large file the hub's own redirect has its size and hash, in X-Linked-Size and
// X-Linked-Etag; a small one is sent by the hub with its hash as the tag.
func linkedTo(resp *http.Response) linked {
	l := linked{size: -1, tag: resp.Header.Get("ETag")}
	if strings.HasPrefix(l.tag, "W/") {
		l.tag = ""
	}
	redirect := resp.StatusCode/100 == 3
	if resp.StatusCode == http.StatusOK {
		l.size = resp.ContentLength
	}
	for r := resp; r != nil; r = r.Request.Response {
		if tag := r.Header.Get("X-Linked-Etag"); tag != "" {
			l.digest = parseDigest(tag)
		}
		if n, err := strconv.ParseInt(r.Header.Get("X-Linked-Size"), 10, 64); err == nil && n >= 0 && l.size < 0 {
			l.size = n
		}
	}
	if l.digest == (Digest{}) && !redirect && resp.Request.Method == http.MethodHead {
		l.digest = parseDigest(resp.Header.Get("ETag"))
	}
	return l
}

// parseRange reads Content-Range: bytes 0-99/1000. size is -1 where it is *.
func parseRange(s string) (at, end, size int64, ok bool) {
	s, found := strings.CutPrefix(s, "bytes ")
	span, total, found2 := strings.Cut(s, "/")
	first, last, found3 := strings.Cut(span, "-")
	at, err1 := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	size = -1
	var err3 error
	if total != "*" {
		size, err3 = strconv.ParseInt(total, 10, 64)
	}
	ok = found && found2 && found3 && err1 == nil && err2 == nil && err3 == nil && at >= 0 && end >= at
	return at, end + 1, size, ok
}
