package harmony

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"fmt"
	"io"
	"sync"
)

//go:generate go run mkranks.go

// o200kPacked is made by mkranks.go, which describes it.
//
//go:embed o200k.bin
var o200kPacked []byte

const (
	o200kRanks   = 199998 // ordinary tokens, ids from 0
	o200kSize    = 201089 // with the special tokens
	o200kText    = 1397670
	o200kShort   = 132360 // tokens of at most maxShort bytes
	o200kSpecial = o200kSize - o200kRanks
)

// o200kNamed are the special tokens with a name of their own; the other ids
// from o200kRanks on are called <|reserved_ID|>.
var o200kNamed = map[Token]string{
	199998: "<|startoftext|>",
	199999: "<|endoftext|>",
	200002: returnName,
	200003: constrainName,
	200005: channelName,
	200006: startName,
	200007: endName,
	200008: messageName,
	200012: callName,
}

// O200kHarmony returns the encoding of the gpt-oss models, o200k_harmony. Its
// ranks are part of the program and are unpacked at the first call.
func O200kHarmony() *Encoding { return o200k() }

var o200k = sync.OnceValue(func() *Encoding {
	e := &Encoding{name: "o200k_harmony", special: make(map[string]Token, o200kSpecial)}
	if err := e.unpack(o200kPacked); err != nil {
		panic("harmony: the embedded ranks are damaged: " + err.Error())
	}
	return e
})

// unpack fills the encoding from the output of mkranks.go.
func (e *Encoding) unpack(packed []byte) error {
	raw := make([]byte, 0, o200kText+bytes.MinRead)
	buf := bytes.NewBuffer(raw)
	if _, err := buf.ReadFrom(flate.NewReader(bytes.NewReader(packed))); err != nil {
		return err
	}
	planes := buf.Bytes()
	if len(planes) < 5*o200kRanks {
		return io.ErrUnexpectedEOF
	}
	shared, added := planes[:o200kRanks], planes[o200kRanks:2*o200kRanks]
	news := planes[2*o200kRanks : len(planes)-3*o200kRanks]
	rank := planes[len(planes)-3*o200kRanks:]

	v := &e.vocab
	v.spans = make([]span, o200kSize)
	text := make([]byte, 0, o200kText+o200kSpecial*len("<|reserved_200000|>"))
	ids := make([]Token, o200kRanks) // in the order of their bytes, so that add walks the text
	last := 0
	for i := range ids {
		start := len(text)
		text = append(text, text[last:last+int(shared[i])]...)
		text = append(text, news[:added[i]]...)
		news = news[added[i]:]
		last = start
		ids[i] = Token(rank[i]) | Token(rank[o200kRanks+i])<<8 | Token(rank[2*o200kRanks+i])<<16
		v.spans[ids[i]] = span{uint32(start), uint32(len(text))}
	}
	v.specialFrom = uint32(len(text))
	for t := Token(o200kRanks); t < o200kSize; t++ {
		name, ok := o200kNamed[t]
		if !ok {
			name = fmt.Sprintf("<|reserved_%d|>", t)
		}
		e.special[name] = t
		v.spans[t] = span{uint32(len(text)), uint32(len(text) + len(name))}
		text = append(text, name...)
	}
	v.text = string(text)
	v.reserve(o200kShort, o200kRanks-o200kShort)
	for _, t := range ids {
		v.add(t)
	}
	for b := range 256 {
		e.bytes[b], _ = v.find(string([]byte{byte(b)}), 0, 1)
	}
	return e.bindSpecial()
}
