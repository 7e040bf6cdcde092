//go:build ignore

// Mkranks packs o200k_base.tiktoken (lines of "base64 rank") into o200k.bin,
// the form that o200k.go unpacks: the tokens sorted by their bytes, as six
// planes one after the other (how many bytes each shares with the one before,
// how many are new, the new bytes, and the three bytes of its rank), deflated.
//
// The ranks are a public file; this program takes it out of the Go module that
// carries it, which is no dependency of ours.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

const (
	module = "github.com/pkoukk/tiktoken-go-loader@v0.0.2"
	file   = "assets/o200k_base.tiktoken"
	sum    = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
)

type token struct {
	bytes []byte
	rank  int
}

func main() {
	log.SetFlags(0)
	src, err := download()
	if err != nil {
		log.Fatalf("download %s: %v", module, err)
	}
	if got := sha256.Sum256(src); hex.EncodeToString(got[:]) != sum {
		log.Fatalf("%s: sha256 is %x, want %s", file, got, sum)
	}
	out, err := pack(parse(src))
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("o200k.bin", out, 0o644); err != nil {
		log.Fatal(err)
	}
}

// download returns the file out of the module. It runs outside of our own
// module, which therefore does not change.
func download() ([]byte, error) {
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = os.TempDir()
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(m.Dir, filepath.FromSlash(file)))
}

func parse(src []byte) []token {
	var tokens []token
	lines := bufio.NewScanner(bytes.NewReader(src))
	for lines.Scan() {
		var word string
		var t token
		if _, err := fmt.Sscanf(lines.Text(), "%s %d", &word, &t.rank); err != nil {
			log.Fatalf("line %d: %v", len(tokens)+1, err)
		}
		b, err := base64.StdEncoding.DecodeString(word)
		if err != nil {
			log.Fatalf("line %d: %v", len(tokens)+1, err)
		}
		t.bytes = b
		tokens = append(tokens, t)
	}
	return tokens
}

func pack(tokens []token) ([]byte, error) {
	slices.SortFunc(tokens, func(a, b token) int {
		return cmp.Or(bytes.Compare(a.bytes, b.bytes), cmp.Compare(a.rank, b.rank))
	})
	var shared, added, text, rank0, rank1, rank2 []byte
	var last []byte
	for _, t := range tokens {
		n := 0
		for n < len(last) && n < len(t.bytes) && last[n] == t.bytes[n] {
			n++
		}
		shared = append(shared, byte(n))
		added = append(added, byte(len(t.bytes)-n))
		text = append(text, t.bytes[n:]...)
		rank0 = append(rank0, byte(t.rank))
		rank1 = append(rank1, byte(t.rank>>8))
		rank2 = append(rank2, byte(t.rank>>16))
		last = t.bytes
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	for _, plane := range [][]byte{shared, added, text, rank0, rank1, rank2} {
		if _, err := w.Write(plane); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return out.Bytes(), err
}
