package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"chorale/harmony"
)

const harmonyHelp = `Work with the Harmony format: text, tokens and conversations, in files or pipes.

  agent harmony render chat.json --next assistant | agent harmony inspect

Without FILE, or with -, standard input is read. A conversation is a JSON object
{"messages": [...]} as openai-harmony writes it, tokens are a JSON array of ids;
of both, any number may follow each other, as lines or not.`

// harmonyFlags are what the commands of agent harmony have in common, and what
// one or the other has besides.
type harmonyFlags struct {
	tokenizer string
	dialect   string
	special   bool   // encode
	lines     bool   // encode, decode
	next      string // render
	training  bool
	analysis  string
	text      bool
	from      string // parse, inspect
	role      string
	mode      string
	json      bool // inspect
}

func newHarmony(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "harmony", Short: "Encode, decode, render, parse and inspect the Harmony format", Long: harmonyHelp}
	var f harmonyFlags
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.tokenizer, "tokenizer", "", "a `tokenizer.json` instead of the built-in o200k_harmony")
	cmd.AddCommand(newHarmonyEncode(std, &f), newHarmonyDecode(std, &f), newHarmonyRender(std, &f), newHarmonyParse(std, &f), newHarmonyInspect(std, &f))
	return cmd
}

func newHarmonyEncode(std streams, f *harmonyFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "encode [FILE]", Short: "Turn text into tokens", Args: cobra.MaximumNArgs(1),
		Long: `Turn text into tokens: the whole input into one line, a JSON array of ids.
With --lines, each line of the input is a JSON string or {"text": ...}, and becomes
a line of its own.`,
		RunE: f.command(std, func(e *harmony.Encoding, in []byte, w io.Writer) error {
			encode := e.Encode
			if f.special {
				encode = e.EncodeWithSpecial
			}
			if !f.lines {
				return writeLine(w, encode(string(in)))
			}
			return eachJSON(in, func(raw json.RawMessage) error {
				text, err := readText(raw)
				if err != nil {
					return err
				}
				return writeLine(w, encode(text))
			})
		}),
	}
	cmd.Flags().BoolVar(&f.special, "special", false, "let the names of special tokens, as in <|end|>, stand for them")
	cmd.Flags().BoolVar(&f.lines, "lines", false, "read a JSON string a line")
	return cmd
}

// readText reads a JSON string, or the key "text" of an object.
func readText(raw json.RawMessage) (text string, err error) {
	if raw[0] != '{' {
		return text, json.Unmarshal(raw, &text)
	}
	var object struct {
		Text *string `json:"text"`
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return "", err
	}
	if object.Text == nil {
		return "", errors.New(`an object without the key "text"`)
	}
	return *object.Text, nil
}

func newHarmonyDecode(std streams, f *harmonyFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "decode [FILE]", Short: "Turn tokens into text", Args: cobra.MaximumNArgs(1),
		Long: `Turn tokens into text, special tokens by their names. The bytes are written as
they are. With --lines, each array becomes a line, a JSON string; there, bytes that
are no UTF-8 are replaced.`,
		RunE: f.command(std, func(e *harmony.Encoding, in []byte, w io.Writer) error {
			return eachJSON(in, func(raw json.RawMessage) error {
				tokens, err := readTokens(raw)
				if err != nil {
					return err
				}
				text, err := e.Decode(tokens)
				if err != nil {
					return err
				}
				if f.lines {
					return writeLine(w, text)
				}
				_, err = io.WriteString(w, text)
				return err
			})
		}),
	}
	cmd.Flags().BoolVar(&f.lines, "lines", false, "write a JSON string a line")
	return cmd
}

func newHarmonyRender(std streams, f *harmonyFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "render [FILE]", Short: "Turn conversations into tokens", Args: cobra.MaximumNArgs(1),
		Long: `Turn each conversation of the input into a line, a JSON array of ids.`,
		RunE: f.command(std, func(e *harmony.Encoding, in []byte, w io.Writer) error {
			return eachJSON(in, func(raw json.RawMessage) error {
				tokens, err := f.render(e, raw)
				if err != nil {
					return err
				}
				if f.text {
					text, _ := e.Decode(tokens)
					return writeLine(w, text)
				}
				if tokens == nil {
					tokens = []harmony.Token{} // an array all the same
				}
				return writeLine(w, tokens)
			})
		}),
	}
	f.dialectFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.next, "next", "", "open the next message, of this `role`, for the model to go on from")
	flags.BoolVar(&f.training, "training", false, "end the last message with <|return|> if it is a final answer")
	flags.StringVar(&f.analysis, "analysis", "keep", "earlier reasoning: `keep|guide|compat` (drop it as the Harmony guide says, or as openai-harmony does)")
	flags.BoolVar(&f.text, "text", false, "write a JSON string a line, special tokens by their names")
	cmd.MarkFlagsMutuallyExclusive("next", "training")
	return cmd
}

func (f *harmonyFlags) dialectFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dialect, "dialect", "gptoss", "`gptoss|compat`: the order that the models write, or openai-harmony 0.0.8's")
}

func (f *harmonyFlags) render(e *harmony.Encoding, raw json.RawMessage) ([]harmony.Token, error) {
	o := harmony.RenderOptions{}
	var err error
	if o.Dialect, err = harmony.ParseDialect(f.dialect); err != nil {
		return nil, err
	}
	switch f.analysis {
	case "", "keep":
	case "guide":
		o.Analysis = harmony.DropAnalysisGuide
	case "compat":
		o.Analysis = harmony.DropAnalysisCompat
	default:
		return nil, fmt.Errorf("--analysis %s: want keep, guide or compat", f.analysis)
	}
	messages, err := harmony.ReadConversation(raw)
	if err != nil {
		return nil, err
	}
	switch {
	case f.training:
		return e.RenderForTraining(messages, o)
	case f.next != "":
		role, err := roleFlag("next", f.next)
		if err != nil {
			return nil, err
		}
		return e.RenderForCompletion(messages, role, o)
	}
	return e.Render(messages, o)
}

func roleFlag(flag, word string) (harmony.Role, error) {
	if word == "" {
		return 0, nil
	}
	role, ok := harmony.ParseRole(word)
	if !ok {
		return 0, fmt.Errorf("--%s %s: want system, developer, user, assistant or tool", flag, word)
	}
	return role, nil
}

// command wraps what a command does with its input: the encoding, the input, and
// where its lines go.
func (f *harmonyFlags) command(std streams, run func(*harmony.Encoding, []byte, io.Writer) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		e := harmony.O200kHarmony()
		if f.tokenizer != "" {
			data, err := os.ReadFile(f.tokenizer)
			if err != nil {
				return err
			}
			if e, err = harmony.FromTokenizerJSON(data); err != nil {
				return fmt.Errorf("%s: %w", f.tokenizer, err)
			}
		}
		name := "standard input"
		read := func() ([]byte, error) { return readAll(cmd.Context(), std.in) }
		if len(args) > 0 && args[0] != "-" {
			name = args[0]
			read = func() ([]byte, error) { return os.ReadFile(name) }
		}
		in, err := read()
		if err != nil {
			return err
		}
		w := bufio.NewWriter(std.out)
		err = run(e, in, w)
		if flushErr := w.Flush(); err == nil {
			err = flushErr
		}
		var exit *exitError
		if err == nil || errors.As(err, &exit) {
			return err
		}
		return fmt.Errorf("%s: %s: %w", cmd.CommandPath(), name, err)
	}
}

// writeLine writes a value as a line of JSON.
func writeLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// eachJSON visits the JSON values of the input, which may be one, lines, or
// spread over lines.
func eachJSON(in []byte, visit func(json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(in))
	for n := 1; ; n++ {
		var raw json.RawMessage
		switch err := d.Decode(&raw); {
		case err == io.EOF && n == 1:
			return errors.New("the input is empty")
		case err == io.EOF:
			return nil
		case err != nil:
			rest := bytes.TrimLeft(in[d.InputOffset():], " \t\r\n")
			line := 1 + bytes.Count(in[:len(in)-len(rest)], []byte("\n"))
			return fmt.Errorf("line %d or below: %w", line, err)
		}
		if err := visit(raw); err != nil {
			return fmt.Errorf("value %d: %w", n, err)
		}
	}
}

func readTokens(raw json.RawMessage) (tokens []harmony.Token, err error) {
	if err := json.Unmarshal(raw, &tokens); err != nil {
		return nil, fmt.Errorf("want an array of token ids: %w", err)
	}
	return tokens, nil
}

// streamsOf returns the token streams of an input for parse and inspect: arrays
// of ids, conversations (which are rendered), or text with special tokens by
// their names, without its last line end.
func (f *harmonyFlags) streamsOf(e *harmony.Encoding, in []byte) (all [][]harmony.Token, err error) {
	from := f.from
	if from == "auto" {
		from = guessForm(in)
	}
	var read func(json.RawMessage) ([]harmony.Token, error)
	switch from {
	case "text":
		text := strings.TrimSuffix(string(in), "\n") // the file's, not the model's
		return [][]harmony.Token{e.EncodeWithSpecial(text)}, nil
	case "tokens":
		read = readTokens
	case "chat":
		read = func(raw json.RawMessage) ([]harmony.Token, error) { return f.render(e, raw) }
	default:
		return nil, fmt.Errorf("--from %s: want auto, tokens, chat or text", f.from)
	}
	err = eachJSON(in, func(raw json.RawMessage) error {
		tokens, err := read(raw)
		all = append(all, tokens)
		return err
	})
	return all, err
}

// guessForm tells tokens, conversations and text apart by their first bytes.
func guessForm(in []byte) string {
	text := strings.TrimSpace(string(in[:min(len(in), 4096)]))
	rest, array := strings.CutPrefix(text, "[")
	rest = strings.TrimLeft(rest, " \t\r\n")
	switch {
	case array && (rest == "" || strings.ContainsRune("0123456789]", rune(rest[0]))):
		return "tokens"
	case strings.HasPrefix(text, "{") && json.Valid(firstValue(in)):
		return "chat"
	}
	return "text"
}

// firstValue is the first JSON value of the input, or nothing.
func firstValue(in []byte) (raw json.RawMessage) {
	if err := json.NewDecoder(bytes.NewReader(in)).Decode(&raw); err != nil {
		return nil
	}
	return raw
}

func (f *harmonyFlags) parserFlags(cmd *cobra.Command) {
	f.dialectFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "auto", "what the input is: `auto|tokens|chat|text`")
	flags.StringVar(&f.role, "role", "", "author of the first message, if the prompt named it: assistant for what a model sampled")
	flags.StringVar(&f.mode, "mode", "lenient", "`lenient|strict|relaxed`: mend everything, or fail as openai-harmony does (relaxed is its strict=false)")
}

func (f *harmonyFlags) parseOptions() (o harmony.ParseOptions, err error) {
	if o.Dialect, err = harmony.ParseDialect(f.dialect); err != nil {
		return o, err
	}
	if o.Role, err = roleFlag("role", f.role); err != nil {
		return o, err
	}
	switch f.mode {
	case "lenient":
		o.Strictness = harmony.Lenient
	case "strict":
		o.Strictness = harmony.Strict
	case "relaxed":
		o.Strictness = harmony.Relaxed
	default:
		return o, fmt.Errorf("--mode %s: want lenient, strict or relaxed", f.mode)
	}
	return o, nil
}
