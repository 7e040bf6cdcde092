package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"chorale/harmony"
)

// inputs is the folder that every peer reads, and how much is in it.
type inputs struct {
	folder  string
	size    map[string]int // of each work: bytes of text, or tokens
	vectors int
}

// write puts a file into the folder.
func (in *inputs) write(name string, data []byte) error {
	return os.WriteFile(filepath.Join(in.folder, name), data, 0o644)
}

func (in *inputs) writeText(work, text string) error {
	in.size[work] = len(text)
	return in.write(work+".txt", []byte(text))
}

func (in *inputs) writeTokens(work string, tokens []harmony.Token) error {
	in.size[work] = len(tokens)
	data, err := json.Marshal(tokens)
	return errors.Join(err, in.write(work+".json", data))
}

// writeInputs makes the folder.
func writeInputs(folder string) (*inputs, error) {
	in := &inputs{folder: folder, size: map[string]int{}}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	prose, code, err := sources()
	if err != nil {
		return nil, err
	}
	e := harmony.O200kHarmony()
	text := prose + code
	messages := conversation(prose, code)
	tokens, err := e.Render(messages, harmony.RenderOptions{Dialect: harmony.Compat})
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"messages": messages})
	if err != nil {
		return nil, err
	}
	all := e.Encode(text)
	in.size["render"] = len(tokens)
	header := "<|start|>assistant to=functions.get_weather<|channel|>commentary <|constrain|>json<|message|>"
	message := func(n int) []harmony.Token {
		return slices.Concat(e.EncodeWithSpecial("<|start|>assistant<|channel|>final<|message|>"), all[:n], e.EncodeWithSpecial("<|end|>"))
	}
	return in, errors.Join(
		in.writeText("encode", text),
		in.writeText("spaces", strings.Repeat(" ", 100_000)),
		in.writeText("letters", strings.Repeat("a", 100_000)),
		in.writeTokens("decode", all),
		in.write("render.json", body),
		in.writeTokens("parse", tokens),
		in.writeTokens("stream", message(20_000)),
		in.writeTokens("stream-headers", slices.Repeat(e.EncodeWithSpecial(header+"<|call|>"), 500)),
		in.writeTokens("content", message(8_000)),
		in.writeVectors(),
		in.writeVocabulary(e),
	)
}

// sources are 512 KiB of prose and of code out of Go's own: comment lines of a
// few packages, and net/http.
func sources() (prose, code string, err error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", "", fmt.Errorf("go env GOROOT: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(out)), "src")
	comment := regexp.MustCompile(`(?m)^[ \t]*// ([^ \t\n].*\n)`)
	var p, c bytes.Buffer
	for _, pkg := range strings.Fields("fmt time os strings database/sql encoding/json go/doc text/template reflect runtime sync sort io flag log/slog testing context regexp/syntax crypto/tls html/template math/big net net/url archive/zip net/http") {
		files, err := filepath.Glob(filepath.Join(src, filepath.FromSlash(pkg), "*.go"))
		if err != nil {
			return "", "", err
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			switch {
			case err != nil:
				return "", "", err
			case pkg == "net/http":
				c.Write(data)
			case !strings.HasSuffix(name, "_test.go"):
				for _, m := range comment.FindAllSubmatch(data, -1) {
					p.Write(m[1])
				}
			}
		}
	}
	const half = 1 << 19
	if p.Len() < half || c.Len() < half {
		return "", "", fmt.Errorf("%s holds too little; are Go's sources installed?", src)
	}
	return string(p.Next(half)), string(c.Next(half)), nil
}

// conversation is a task of 100 messages: reasoning, calls, results, an answer.
func conversation(prose, code string) []harmony.Message {
	take := func(from *string, n int) string {
		n += strings.IndexByte((*from)[n:], '\n') + 1
		text := (*from)[:n]
		*from = (*from)[n:]
		return text
	}
	messages := []harmony.Message{
		harmony.NewSystemContent(harmony.MediumEffort, "2025-06-28", harmony.Python(), harmony.Browser()).Message(),
		harmony.NewDeveloperContent("Be brief.", harmony.Function{
			Name: "read_file", Description: "Reads lines of a file.",
			Parameters: json.RawMessage(`{"type":"object","properties":{"path":{"type":"string"},"from":{"type":"integer"},"lines":{"type":"integer"}},"required":["path"]}`),
		}).Message(),
		harmony.NewMessage(harmony.User, take(&prose, 300)),
	}
	for i := 0; len(messages) < 99; i++ {
		think := harmony.NewMessage(harmony.Assistant, take(&prose, 500))
		think.Channel = harmony.Analysis
		call := harmony.NewMessage(harmony.Assistant, fmt.Sprintf(`{"path": "src/net/http/server.go", "from": %d, "lines": 40}`, 40*i))
		call.Channel, call.Recipient, call.ContentType = harmony.Commentary, "functions.read_file", "<|constrain|>json"
		result := harmony.NewToolResult("functions.read_file", harmony.Commentary, take(&code, 700))
		messages = append(messages, think, call, result)
	}
	final := harmony.NewMessage(harmony.Assistant, take(&prose, 300))
	final.Channel = harmony.Final
	return append(messages, final)
}

// writeVectors copies the oracle's vectors for ordinary text.
func (in *inputs) writeVectors() error {
	data, err := os.ReadFile("harmony/testdata/tokenizer/o200k_harmony.jsonl")
	if err != nil {
		return fmt.Errorf("run it at the root of the repository: %w", err)
	}
	var out bytes.Buffer
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		var v struct{ Special bool }
		if len(line) == 0 {
			continue
		}
		if err := json.Unmarshal(line, &v); err != nil {
			return err
		}
		if !v.Special {
			out.Write(append(line, '\n'))
			in.vectors++
		}
	}
	return in.write("vectors.jsonl", out.Bytes())
}

// writeVocabulary writes the ranks as the Rust and Python libraries look for
// them, so that none of them has to download anything.
func (in *inputs) writeVocabulary(e *harmony.Encoding) error {
	var b bytes.Buffer
	for t := harmony.Token(0); !e.IsSpecial(t); t++ {
		fmt.Fprintf(&b, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(e.TokenText(t))), t)
	}
	const tiktokensName = "fb374d419588a4632f3f557e76b4b70aebbca790" // in its cache
	return errors.Join(in.write("o200k_base.tiktoken", b.Bytes()), in.write(tiktokensName, b.Bytes()))
}
