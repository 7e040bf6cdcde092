package wheel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// attempts is how often one request is tried.
const attempts = 6

// statusError is an answer that is not the file.
type statusError struct {
	code int
	url  string
}

func (e statusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.url, e.code, http.StatusText(e.code))
}

// retry reports whether the same request may succeed a little later.
func retry(err error) bool {
	var status statusError
	if errors.As(err, &status) {
		return status.code >= 500 || status.code == http.StatusRequestTimeout || status.code == http.StatusTooManyRequests
	}
	return !errors.Is(err, errWrong)
}

// fromIndex downloads w to path by way of path + ".part".
func (s Source) fromIndex(ctx context.Context, index string, w Wheel, path string) error {
	var l link
	err := s.again(ctx, func() (err error) {
		l, err = s.find(ctx, index, w)
		return err
	})
	if err != nil {
		return err
	}
	if l.sha256 != "" && !strings.EqualFold(l.sha256, w.SHA256) {
		return fmt.Errorf("%w: the index lists it with sha256 %s, expected is %s", errWrong, l.sha256, w.SHA256)
	}
	part := path + ".part"
	if err := s.again(ctx, func() error { return s.download(ctx, l, w, part) }); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// again tries an action until it succeeds, fails for good, or has failed too often.
func (s Source) again(ctx context.Context, action func() error) error {
	pause := s.Pause
	for n := 1; ; n++ {
		err := action()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if n == attempts || !retry(err) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		pause *= 2
	}
}

// download makes one attempt to complete the file part. What is there already
// is kept when the server can go on from its end. A complete file with the
// wrong hash is removed: if an earlier run left its head, this is one more
// failed attempt, else it is the server's fault.
func (s Source) download(ctx context.Context, l link, w Wheel, part string) error {
	f, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	had, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if had > w.Size {
		had = 0
	}
	resumed := had > 0
	if had < w.Size {
		if resumed, err = s.get(ctx, l, w, f, had); err != nil {
			return err
		}
	}
	err = verify(part, w)
	if err == nil || !errors.Is(err, errWrong) {
		return err
	}
	if err := os.Remove(part); err != nil {
		return err
	}
	if resumed {
		return fmt.Errorf("%s was resumed and came out wrong; it is fetched anew", w.File)
	}
	return fmt.Errorf("%s: %w", l.url.Redacted(), err)
}

// get writes the bytes from offset had on, or all of them where the server
// does not do ranges; resumed says which.
func (s Source) get(ctx context.Context, l link, w Wheel, f *os.File, had int64) (resumed bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(s.Stall, func() { cancel(fmt.Errorf("no byte for %s", s.Stall)) })
	defer stall.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url.String(), nil)
	if err != nil {
		return false, err
	}
	if had > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", had))
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		had = 0
	case resp.StatusCode == http.StatusPartialContent && had > 0 &&
		strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", had)):
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable, resp.StatusCode == http.StatusPartialContent:
		return false, errors.Join(fmt.Errorf("%s can't resume at byte %d", l.url.Redacted(), had), f.Truncate(0))
	default:
		return false, statusError{resp.StatusCode, l.url.Redacted()}
	}
	if err := f.Truncate(had); err != nil {
		return false, err
	}
	if _, err := f.Seek(had, io.SeekStart); err != nil {
		return false, err
	}
	resumed = had > 0
	buf := make([]byte, 64<<10)
	for {
		n, err := resp.Body.Read(buf)
		stall.Reset(s.Stall)
		if had += int64(n); had > w.Size {
			return resumed, errors.Join(fmt.Errorf("%s: %w: more than %d bytes", l.url.Redacted(), errWrong, w.Size), f.Truncate(0))
		}
		if _, werr := f.Write(buf[:n]); werr != nil {
			return resumed, werr
		}
		s.Progress(had, w.Size)
		if err == io.EOF {
			break
		}
		if err != nil {
			return resumed, fmt.Errorf("%s broke off at byte %d of %d: %w", l.url.Redacted(), had, w.Size, err)
		}
	}
	if had < w.Size {
		return resumed, fmt.Errorf("%s ended at byte %d of %d", l.url.Redacted(), had, w.Size)
	}
	return resumed, nil
}
