//go:build ignore

// Mkranks packs o200k_base.tiktoken (lines of "base64 rank") into o200k.bin,
// the form that o200k.go unpacks: the tokens sorted by their bytes, as six
// planes one after the other (how many bytes each shares with the one before,
// how many are new, the new bytes, and the three bytes of its rank), deflated.
//
// The ranks are a public file; the Go module github.com/pkoukk/tiktoken-go-loader
// v0.0.2 carries it as assets/o200k_base.tiktoken:
//
//	go mod download -json github.com/pkoukk/tiktoken-go-loader@v0.0.2   # prints Dir
//	go run mkranks.go DIR/assets/o200k_base.tiktoken o200k.bin
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"slices"
)

const wantSum = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"

type token struct {
	bytes []byte
	rank  int
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: go run mkranks.go o200k_base.tiktoken o200k.bin")
	}
	src, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if sum := sha256.Sum256(src); hex.EncodeToString(sum[:]) != wantSum {
		log.Fatalf("%s: sha256 is %x, want %s", os.Args[1], sum, wantSum)
	}
	out, err := pack(parse(src))
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[2], out, 0o644); err != nil {
		log.Fatal(err)
	}
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
