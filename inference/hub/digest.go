package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
)

// Digest is what a hub says of a file's content: the SHA-256 of a large file, or
// the hash under which git keeps a small one. Exactly one is set, in hex.
type Digest struct {
	SHA256  string
	GitBlob string
}

func (d Digest) String() string {
	if d.SHA256 != "" {
		return "sha256 " + d.SHA256
	}
	return "git blob " + d.GitBlob
}

// parseDigest reads a hash, or an entity tag that is one; zero if it is neither.
func parseDigest(s string) Digest {
	s = strings.ToLower(strings.Trim(strings.TrimPrefix(strings.TrimSpace(s), "W/"), `"`))
	if b, err := hex.DecodeString(s); err == nil {
		switch len(b) {
		case sha256.Size:
			return Digest{SHA256: s}
		case sha1.Size:
			return Digest{GitBlob: s}
		}
	}
	return Digest{}
}

// Sum hashes size bytes of r and returns their SHA-256. It fails where there are
// fewer or more, and where they do not have the digest; a zero digest takes any.
// tick is told how many bytes are done.
func Sum(ctx context.Context, r io.Reader, size int64, want Digest, tick func(done int64)) (string, error) {
	h := sha256.New()
	var blob hash.Hash
	to := io.Writer(h)
	if want.GitBlob != "" {
		blob = sha1.New()
		fmt.Fprintf(blob, "blob %d\x00", size)
		to = io.MultiWriter(h, blob)
	}
	buf := make([]byte, 1<<20)
	var done int64
	for {
		if err := ctx.Err(); err != nil {
			return "", context.Cause(ctx)
		}
		n, err := r.Read(buf)
		to.Write(buf[:n]) // a hash never fails
		done += int64(n)
		tick(done)
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		if done > size {
			return "", fmt.Errorf("it has more than %d bytes", size)
		}
	}
	got := Digest{SHA256: hex.EncodeToString(h.Sum(nil))}
	if blob != nil {
		got = Digest{GitBlob: hex.EncodeToString(blob.Sum(nil))}
	}
	switch {
	case done != size:
		return "", fmt.Errorf("it has %d bytes, want %d", done, size)
	case want != (Digest{}) && got != want:
		return "", fmt.Errorf("its content has %s, want %s", got, want)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
