package harmony

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ReadConversation reads a conversation in openai-harmony's JSON form,
//
//	{"messages": [{"role": "user", "content": "hi"}]}
//
// and refuses what openai-harmony refuses. Unknown keys are ignored.
func ReadConversation(data []byte) ([]Message, error) {
	v, err := readJSON(data)
	if err != nil {
		return nil, fmt.Errorf("read conversation: %w", err)
	}
	f := fields{v: &v}
	var messages []Message
	for i, item := range f.list("messages") {
		var m Message
		if err := m.read(&item); err != nil {
			return nil, fmt.Errorf("read conversation: message %d: %w", i, err)
		}
		messages = append(messages, m)
	}
	if f.err != nil {
		return nil, fmt.Errorf("read conversation: %w", f.err)
	}
	return messages, nil
}

// UnmarshalJSON reads a message in openai-harmony's JSON form.
func (m *Message) UnmarshalJSON(data []byte) error {
	v, err := readJSON(data)
	if err != nil {
		return err
	}
	*m = Message{}
	return m.read(&v)
}

func (m *Message) read(v *jsonValue) error {
	f := fields{v: v}
	role := f.string("role")
	m.Name = f.optional("name", BlankName)
	m.Recipient = f.optional("recipient", BlankRecipient)
	m.Channel = f.optional("channel", BlankChannel)
	m.ContentType = f.optional("content_type", BlankContentType)
	content := f.required("content")
	if f.err != nil {
		return f.err
	}
	m.Blank = f.blank
	var ok bool
	if m.Role, ok = ParseRole(role); !ok {
		return fmt.Errorf("unknown role %q: want user, assistant, system, developer or tool", role)
	}
	switch content.kind {
	case jsonString:
		m.Content = []Part{Text(content.text)}
	case jsonArray:
		m.Content = make([]Part, len(content.items))
		for i := range content.items {
			p, err := readPart(&content.items[i])
			if err != nil {
				return fmt.Errorf("content part %d: %w", i, err)
			}
			m.Content[i] = p
		}
	default:
		return errors.New(`"content" must be a string or a list`)
	}
	return nil
}

func readPart(v *jsonValue) (Part, error) {
	f := fields{v: v}
	kind := f.string("type")
	if f.err != nil {
		return nil, f.err
	}
	var p Part
	switch kind {
	case "text":
		p = Text(f.string("text"))
	case "system_content":
		p = f.systemContent()
	case "developer_content":
		p = &DeveloperContent{
			Instructions: f.optional("instructions", BlankInstructions),
			Tools:        f.tools(),
			Blank:        f.blank,
		}
	default:
		f.err = fmt.Errorf("unknown type %q: want text, system_content or developer_content", kind)
	}
	return p, f.err
}

func (f *fields) systemContent() *SystemContent {
	s := &SystemContent{
		Identity:        f.optional("model_identity", BlankIdentity),
		KnowledgeCutoff: f.optional("knowledge_cutoff", BlankCutoff),
		CurrentDate:     f.optional("conversation_start_date", BlankDate),
		Tools:           f.tools(),
		Blank:           f.blank,
	}
	switch effort := f.optional("reasoning_effort", 0); effort {
	case "Low", "Medium", "High":
		s.Effort, _ = ParseEffort(strings.ToLower(effort))
	default:
		if f.present("reasoning_effort") && f.err == nil {
			f.err = fmt.Errorf("unknown reasoning effort %q: want Low, Medium or High", effort)
		}
	}
	if f.present("channel_config") {
		c := fields{v: f.v.get("channel_config")}
		for _, name := range c.list("valid_channels") {
			if name.kind != jsonString {
				c.fail("valid_channels", "a list of strings")
			}
			s.Channels = append(s.Channels, name.text)
		}
		if required := c.required("channel_required"); required.is(jsonBool) {
			s.ChannelRequired = required.text == "true"
		} else {
			c.fail("channel_required", "true or false")
		}
		f.join(&c)
	}
	return s
}

// tools reads the map of namespaces.
func (f *fields) tools() Tools {
	if !f.present("tools") {
		return nil
	}
	v := f.v.get("tools")
	if v.kind != jsonObject {
		f.fail("tools", "an object")
		return nil
	}
	tools := Tools{}
	for i := range v.members {
		ns := fields{v: &v.members[i].value}
		tools[v.members[i].key] = ns.namespace()
		f.join(&ns)
	}
	return tools
}

func (f *fields) namespace() Namespace {
	ns := Namespace{Name: f.string("name"), Description: f.optional("description", 0)}
	for _, item := range f.list("tools") {
		t := fields{v: &item}
		fn := Function{Name: t.string("name"), Description: t.string("description")}
		if t.present("parameters") {
			fn.Parameters = json.RawMessage(item.get("parameters").raw)
		}
		ns.Functions = append(ns.Functions, fn)
		f.join(&t)
	}
	return ns
}

// fields reads the members of an object and keeps the first error.
type fields struct {
	v     *jsonValue
	blank Blank
	err   error
}

func (f *fields) fail(key, want string) {
	if f.err == nil {
		f.err = fmt.Errorf("%q must be %s", key, want)
	}
}

func (f *fields) join(sub *fields) {
	if f.err == nil {
		f.err = sub.err
	}
}

// present reports whether the key is there and not null.
func (f *fields) present(key string) bool {
	v := f.v.get(key)
	return v != nil && v.kind != jsonNull
}

// required returns the value of a key that must be there, at most once.
func (f *fields) required(key string) *jsonValue {
	n := 0
	for i := range f.v.members {
		if f.v.members[i].key == key {
			n++
		}
	}
	switch {
	case f.err != nil:
	case f.v.kind != jsonObject:
		f.err = fmt.Errorf("want an object with the key %q", key)
	case n == 0:
		f.err = fmt.Errorf("missing key %q", key)
	case n > 1:
		f.err = fmt.Errorf("duplicate key %q", key)
	}
	if v := f.v.get(key); v != nil {
		return v
	}
	return &jsonValue{}
}

// string returns the text of a key that must be there.
func (f *fields) string(key string) string {
	v := f.required(key)
	if v.kind != jsonString {
		f.fail(key, "a string")
	}
	return v.text
}

// optional returns the text of a key that may be missing or null. If it is
// there and empty, its bit goes into f.blank.
func (f *fields) optional(key string, bit Blank) string {
	if f.v.get(key) == nil {
		return ""
	}
	v := f.required(key)
	switch {
	case v.kind == jsonNull:
		return ""
	case v.kind != jsonString:
		f.fail(key, "a string or null")
	case v.text == "":
		f.blank |= bit
	}
	return v.text
}

// list returns the items of a list that must be there.
func (f *fields) list(key string) []jsonValue {
	v := f.required(key)
	if v.kind != jsonArray {
		f.fail(key, "a list")
	}
	return v.items
}

// MarshalJSON writes the message in openai-harmony's JSON form: one text as a
// plain string, absent fields left out.
func (m Message) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteString(`{"role":`)
	quoteJSON(&b, m.Role.String())
	writeOptional(&b, "name", m.Name, m.Blank, BlankName)
	writeOptional(&b, "recipient", m.Recipient, m.Blank, BlankRecipient)
	b.WriteString(`,"content":`)
	if err := m.writeContent(&b); err != nil {
		return nil, err
	}
	writeOptional(&b, "channel", m.Channel, m.Blank, BlankChannel)
	writeOptional(&b, "content_type", m.ContentType, m.Blank, BlankContentType)
	b.WriteByte('}')
	return []byte(b.String()), nil
}

func (m *Message) writeContent(b *strings.Builder) error {
	if len(m.Content) == 1 {
		if t, ok := m.Content[0].(Text); ok {
			quoteJSON(b, string(t))
			return nil
		}
	}
	b.WriteByte('[')
	for i, p := range m.Content {
		if i > 0 {
			b.WriteByte(',')
		}
		switch p := p.(type) {
		case Text:
			b.WriteString(`{"type":"text","text":`)
			quoteJSON(b, string(p))
		case *SystemContent:
			b.WriteString(`{"type":"system_content"`)
			p.writeJSON(b)
		case *DeveloperContent:
			b.WriteString(`{"type":"developer_content"`)
			writeOptional(b, "instructions", p.Instructions, p.Blank, BlankInstructions)
			p.Tools.writeJSON(b)
		default:
			return fmt.Errorf("a content part of type %T", p)
		}
		b.WriteByte('}')
	}
	b.WriteByte(']')
	return nil
}

func (s *SystemContent) writeJSON(b *strings.Builder) {
	writeOptional(b, "model_identity", s.Identity, s.Blank, BlankIdentity)
	if s.Effort != 0 {
		name := s.Effort.String()
		fmt.Fprintf(b, `,"reasoning_effort":"%s%s"`, strings.ToUpper(name[:1]), name[1:])
	}
	s.Tools.writeJSON(b)
	writeOptional(b, "conversation_start_date", s.CurrentDate, s.Blank, BlankDate)
	writeOptional(b, "knowledge_cutoff", s.KnowledgeCutoff, s.Blank, BlankCutoff)
	if len(s.Channels) > 0 || s.ChannelRequired {
		b.WriteString(`,"channel_config":{"valid_channels":[`)
		for i, c := range s.Channels {
			if i > 0 {
				b.WriteByte(',')
			}
			quoteJSON(b, c)
		}
		fmt.Fprintf(b, `],"channel_required":%v}`, s.ChannelRequired)
	}
}

func (t Tools) writeJSON(b *strings.Builder) {
	if len(t) == 0 {
		return
	}
	comma := `,"tools":{`
	for _, key := range t.keys() {
		ns := t[key]
		b.WriteString(comma)
		comma = ","
		quoteJSON(b, key)
		b.WriteString(`:{"name":`)
		quoteJSON(b, ns.Name)
		writeOptional(b, "description", ns.Description, 0, 0)
		b.WriteString(`,"tools":[`)
		for i, f := range ns.Functions {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`{"name":`)
			quoteJSON(b, f.Name)
			b.WriteString(`,"description":`)
			quoteJSON(b, f.Description)
			if len(f.Parameters) > 0 {
				b.WriteString(`,"parameters":`)
				b.Write(f.Parameters)
			}
			b.WriteByte('}')
		}
		b.WriteString(`]}`)
	}
	b.WriteByte('}')
}

func writeOptional(b *strings.Builder, key, text string, blank, bit Blank) {
	if blank.has(text, bit) {
		b.WriteString(`,"` + key + `":`)
		quoteJSON(b, text)
	}
}
