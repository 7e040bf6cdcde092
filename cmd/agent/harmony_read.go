package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"chorale/harmony"
	"chorale/runtime"
)

// reading is what a parser made of a stream of tokens.
type reading struct {
	tokens   []harmony.Token
	messages []harmony.Parsed
	loose    []harmony.Repair // that belong to no message
	err      error            // with which Strict and Relaxed stopped
	errAt    int              // the token, or len(tokens)
	content  []bool           // whether a token is content, not header
}

func read(e *harmony.Encoding, tokens []harmony.Token, o harmony.ParseOptions) *reading {
	r := &reading{tokens: tokens, content: make([]bool, len(tokens))}
	p := harmony.NewParser(e, o)
	for i, t := range tokens {
		r.content[i] = p.State() == harmony.InContent
		if _, r.err = p.Push(t); r.err != nil {
			r.errAt = i
			break
		}
	}
	if r.err == nil {
		_, r.err = p.Close()
		r.errAt = len(tokens)
	}
	r.messages, r.loose = p.Messages(), p.Loose()
	return r
}

// failure is the error of a stream as an end of the program.
func (r *reading) failure(stream int) error {
	if r.err == nil {
		return nil
	}
	at := fmt.Sprintf("token %d", r.errAt)
	if r.errAt == len(r.tokens) {
		at = "its end"
	}
	return &exitError{code: runtime.ExitNoAnswer, err: fmt.Errorf("stream %d, %s: %w", stream, at, r.err)}
}

// parsedLine is a line of agent harmony parse. Without a message it has the
// repairs behind the last one.
type parsedLine struct {
	Stream     int              `json:"stream"` // from 1
	Message    *harmony.Message `json:"message"`
	Start      int              `json:"start"`
	End        int              `json:"end"`
	Stop       string           `json:"stop,omitempty"`
	RawChannel string           `json:"raw_channel,omitempty"`
	Repairs    []repairLine     `json:"repairs,omitempty"`
}

type repairLine struct {
	Kind  string `json:"kind"`
	Token int    `json:"token"`
}

func repairLines(repairs []harmony.Repair) (lines []repairLine) {
	for _, r := range repairs {
		lines = append(lines, repairLine{r.Kind.String(), r.Token})
	}
	return lines
}

// lines are the messages of a stream as they are printed.
func (r *reading) lines(stream int) (lines []parsedLine) {
	end := 0
	for i := range r.messages {
		m := &r.messages[i]
		end = m.End
		lines = append(lines, parsedLine{
			Stream: stream, Message: &m.Message, Start: m.Start, End: m.End, Stop: m.Stop.String(),
			RawChannel: rawChannel(m), Repairs: repairLines(m.Repairs),
		})
	}
	if len(r.loose) > 0 {
		lines = append(lines, parsedLine{Stream: stream, Start: end, End: len(r.tokens), Repairs: repairLines(r.loose)})
	}
	return lines
}

// rawChannel is the channel as it was spelled, if that is not the one that was
// meant.
func rawChannel(m *harmony.Parsed) string {
	if m.RawChannel == m.Channel {
		return ""
	}
	return m.RawChannel
}

func newHarmonyParse(std streams, f *harmonyFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "parse [FILE]", Short: "Turn tokens into messages", Args: cobra.MaximumNArgs(1),
		Long: `Turn tokens into messages, a JSON object a line: the message, the tokens start to
end where it stood, what ended it, and what had to be mended. Where --mode strict
or relaxed meets an error, the exit code is 1; the messages before it are written
all the same.`,
		RunE: f.command(std, func(e *harmony.Encoding, in []byte, w io.Writer) error {
			return f.eachReading(e, in, func(stream int, r *reading) error {
				for _, line := range r.lines(stream) {
					if err := writeLine(w, line); err != nil {
						return err
					}
				}
				return nil
			})
		}),
	}
	f.parserFlags(cmd)
	return cmd
}

// eachReading reads every stream of the input and shows it. It returns the first
// parser's error after all of them.
func (f *harmonyFlags) eachReading(e *harmony.Encoding, in []byte, show func(stream int, r *reading) error) error {
	o, err := f.parseOptions()
	if err != nil {
		return err
	}
	all, err := f.streamsOf(e, in)
	if err != nil {
		return err
	}
	var failed error
	for i, tokens := range all {
		r := read(e, tokens, o)
		if err := show(i+1, r); err != nil {
			return err
		}
		if failed == nil {
			failed = r.failure(i + 1)
		}
	}
	return failed
}
