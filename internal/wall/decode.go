package wall

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// decode undoes the encoding that we ask for. Another one is refused: what it
// inflates to could not be capped.
func decode(resp *http.Response) (body io.Reader, decoded bool, err error) {
	if resp.Request.Method == http.MethodHead || resp.ContentLength == 0 || resp.Body == http.NoBody {
		return resp.Body, false, nil
	}
	switch e := strings.ToLower(resp.Header.Get("Content-Encoding")); e {
	case "", "identity":
		return resp.Body, false, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			return nil, false, fmt.Errorf("the body is not gzip as it says: %w", err)
		}
		return z, true, nil
	default:
		return nil, false, fmt.Errorf("the server sent the encoding %q, which was not asked for", e)
	}
}
