// The other Go libraries, for the benchmark beside us: see ../../peers.go. They
// are in a module of their own, so that ours does not depend on them.
//
//	golang FOLDER    answers the lines "LIBRARY WORK SECONDS" on its input
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	pkoukk "github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"
	"github.com/tiktoken-go/tokenizer"
)

type library struct {
	encode func(string) []int
	decode func([]int) string
}

func load(name string) library {
	switch name {
	case "tiktoken-go/tokenizer":
		c, err := tokenizer.Get(tokenizer.O200kBase)
		check(err)
		return library{
			encode: func(s string) []int {
				ids, _, err := c.Encode(s)
				check(err)
				out := make([]int, len(ids))
				for i, id := range ids {
					out[i] = int(id)
				}
				return out
			},
			decode: func(ids []int) string {
				in := make([]uint, len(ids))
				for i, id := range ids {
					in[i] = uint(id)
				}
				s, err := c.Decode(in)
				check(err)
				return s
			},
		}
	case "pkoukk/tiktoken-go":
		pkoukk.SetBpeLoader(loader.NewOfflineLoader())
		c, err := pkoukk.GetEncoding("o200k_base")
		check(err)
		return library{encode: c.EncodeOrdinary, decode: c.Decode}
	}
	log.Fatalf("no library %s", name)
	return library{}
}

func main() {
	folder := os.Args[1]
	loaded := map[string]library{}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var name, work string
		var seconds float64
		_, err := fmt.Sscan(in.Text(), &name, &work, &seconds)
		check(err)
		start := cpu()
		if work == "load" {
			loaded[name] = load(name)
			fmt.Println(cpu()-start, 0)
			continue
		}
		spent, result := loaded[name].answer(folder, work, seconds)
		fmt.Println(spent, result)
	}
}

func (l library) answer(folder, work string, seconds float64) (float64, uint64) {
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(folder, name))
		check(err)
		return data
	}
	switch work {
	case "vectors":
		return 0, l.wrong(read("vectors.jsonl"))
	case "decode":
		var ids []int
		check(json.Unmarshal(read("decode.json"), &ids))
		var text string
		spent := measure(seconds, func() { text = l.decode(ids) })
		return spent, uint64(len(text))
	}
	text := string(read(work + ".txt"))
	var ids []int
	spent := measure(seconds, func() { ids = l.encode(text) })
	var h uint64
	for _, id := range ids {
		h = h*31 + uint64(id)
	}
	return spent, h
}

// wrong counts the vectors that the library encodes otherwise.
func (l library) wrong(vectors []byte) (n uint64) {
	for line := range bytes.SplitSeq(vectors, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var v struct {
			Text   string
			Tokens []int
		}
		check(json.Unmarshal(line, &v))
		if !slices.Equal(l.encode(v.Text), v.Tokens) {
			n++
		}
	}
	return n
}

// measure returns the CPU seconds of one run.
func measure(seconds float64, run func()) float64 {
	start := cpu()
	for runs := 1; ; runs++ {
		run()
		if spent := cpu() - start; spent >= seconds {
			return spent / float64(runs)
		}
	}
}

func cpu() float64 {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) * 1e-9
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
