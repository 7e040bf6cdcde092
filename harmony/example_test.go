package harmony_test

import (
	"fmt"

	"chorale/harmony"
)

func ExampleEncoding_Encode() {
	e := harmony.O200kHarmony()
	tokens := e.Encode("Hello, world")
	fmt.Println(tokens)
	// Text can spell a control token, but never becomes one.
	fmt.Println(len(e.Encode("<|end|>")), len(e.EncodeWithSpecial("<|end|>")))
	// Output:
	// [13225 11 2375]
	// 5 1
}

func ExampleEncoding_RenderForCompletion() {
	e := harmony.O200kHarmony()
	weather := harmony.Function{
		Name:        "get_weather",
		Description: "Gets the weather in a city.",
		Parameters: []byte(`{
			"type": "object",
			"properties": {
				"city": {"type": "string", "description": "Its English name"},
				"unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"}
			},
			"required": ["city"]
		}`),
	}
	prompt, err := e.RenderForCompletion([]harmony.Message{
		harmony.NewSystemContent(harmony.LowEffort, "2025-06-28").Message(),
		harmony.NewDeveloperContent("Answer in one sentence.", weather).Message(),
		harmony.NewMessage(harmony.User, "Is it cold in Oslo?"),
	}, harmony.Assistant, harmony.RenderOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, _ := e.Decode(prompt)
	fmt.Println(text)
	// Output:
	// <|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.
	// Knowledge cutoff: 2024-06
	// Current date: 2025-06-28
	//
	// Reasoning: low
	//
	// # Valid channels: analysis, commentary, final. Channel must be included for every message.
	// Calls to these tools must go to the commentary channel: 'functions'.<|end|><|start|>developer<|message|># Instructions
	//
	// Answer in one sentence.
	//
	// # Tools
	//
	// ## functions
	//
	// namespace functions {
	//
	// // Gets the weather in a city.
	// type get_weather = (_: {
	// // Its English name
	// city: string,
	// unit?: "celsius" | "fahrenheit", // default: celsius
	// }) => any;
	//
	// } // namespace functions<|end|><|start|>user<|message|>Is it cold in Oslo?<|end|><|start|>assistant
}

// A model's tokens come one by one; the header is known before the content.
func ExampleParser() {
	e := harmony.O200kHarmony()
	sampled := e.EncodeWithSpecial(`<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Oslo"}<|call|>`)
	p := harmony.NewParser(e, harmony.ParseOptions{Role: harmony.Assistant})
	for _, token := range sampled {
		event, err := p.Push(token)
		if err != nil {
			fmt.Println(err)
			return
		}
		switch event.Kind {
		case harmony.HeaderDone:
			h := p.Header()
			fmt.Printf("%s calls %s on %s\n", h.Role, h.Recipient, h.Channel)
		case harmony.Delta:
			fmt.Printf("%q\n", event.Text)
		case harmony.MessageDone:
			m := event.Message
			fmt.Printf("%s, tokens %d to %d, ended by %s\n", m.Text(), m.Start, m.End, m.Stop)
		}
	}
	// Output:
	// assistant calls functions.get_weather on commentary
	// "{\""
	// "city"
	// "\":\""
	// "Os"
	// "lo"
	// "\"}"
	// {"city":"Oslo"}, tokens 0 to 19, ended by call
}

// The history keeps what the model sampled, token for token, and grows only at
// its end, so that an engine can go on from its cache.
func ExampleEncoding_AppendMessage() {
	e := harmony.O200kHarmony()
	prompt, _ := e.RenderForCompletion([]harmony.Message{
		harmony.NewMessage(harmony.User, "Is it cold in Oslo?"),
	}, harmony.Assistant, harmony.RenderOptions{})
	sampled := e.EncodeWithSpecial(`<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Oslo"}<|call|>`)
	prompt = append(prompt, sampled...)

	result := harmony.NewToolResult("functions.get_weather", harmony.Commentary, `{"celsius":-3}`)
	prompt, err := e.AppendMessage(prompt, &result, harmony.GptOss, false)
	if err != nil {
		fmt.Println(err)
		return
	}
	prompt = e.AppendStart(prompt, harmony.Assistant)
	text, _ := e.Decode(prompt)
	fmt.Println(text)
	// Output:
	// <|start|>user<|message|>Is it cold in Oslo?<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Oslo"}<|call|><|start|>functions.get_weather<|channel|>commentary to=assistant<|message|>{"celsius":-3}<|end|><|start|>assistant
}

func ExampleReadConversation() {
	messages, err := harmony.ReadConversation([]byte(`{"messages": [
		{"role": "system", "content": [{"type": "system_content", "reasoning_effort": "High"}]},
		{"role": "user", "content": "hi"}
	]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	e := harmony.O200kHarmony()
	for _, d := range []harmony.Dialect{harmony.GptOss, harmony.Compat} {
		tokens, _ := e.Render(messages, harmony.RenderOptions{Dialect: d})
		text, _ := e.Decode(tokens)
		fmt.Println(d, text)
	}
	// Output:
	// gptoss <|start|>system<|message|>Reasoning: high<|end|><|start|>user<|message|>hi<|end|>
	// compat <|start|>system<|message|>Reasoning: high<|end|><|start|>user<|message|>hi<|end|>
}

// A whole stream at once. The model's tokens begin behind the prompt, which ended
// in <|start|>assistant.
func ExampleEncoding_Parse() {
	e := harmony.O200kHarmony()
	sampled := e.EncodeWithSpecial("<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>No.<|return|>")
	messages, err := e.Parse(sampled, harmony.ParseOptions{Role: harmony.Assistant})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range messages {
		fmt.Println(m.Channel, m.Text(), m.Stop)
	}
	// Output:
	// analysis Easy. end
	// final No. return
}

// A lenient parser mends what models get wrong, and says so. Here the channel has
// a slip in it, and the answer has no <|message|>.
func ExampleParser_lenient() {
	e := harmony.O200kHarmony()
	sampled := e.EncodeWithSpecial("<|channel|>comentary to=functions.f<|message|>{}<|end|>" +
		"<|start|>assistant<|channel|>final It is cold.<|return|>")
	p := harmony.NewParser(e, harmony.ParseOptions{Role: harmony.Assistant, Strictness: harmony.Lenient})
	for _, token := range sampled {
		event, _ := p.Push(token) // a lenient parser has no errors
		for _, r := range event.Repairs {
			fmt.Printf("token %d: %v\n", r.Token, r.Kind)
		}
	}
	_, _ = p.Close()
	for _, m := range p.Messages() {
		fmt.Printf("%s (%q) to %q: %q\n", m.Channel, m.RawChannel, m.Recipient, m.Text())
	}
	// Output:
	// token 7: garbled channel
	// token 18: missing message
	// commentary ("comentary") to "functions.f": "{}"
	// final ("final") to "": " It is cold."
}

// The tokens of a prompt one by one: which are control tokens, which are text.
func ExampleEncoding_TokenText() {
	e := harmony.O200kHarmony()
	tokens, err := e.Render([]harmony.Message{
		harmony.NewMessage(harmony.User, "Say <|end|>"),
	}, harmony.RenderOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, t := range tokens {
		kind := "text"
		if e.IsSpecial(t) {
			kind = "control"
		}
		fmt.Printf("%d %6d %-7s %q\n", i, t, kind, e.TokenText(t))
	}
	// Output:
	// 0 200006 control "<|start|>"
	// 1   1428 text    "user"
	// 2 200008 control "<|message|>"
	// 3  62316 text    "Say"
	// 4    464 text    " <"
	// 5     91 text    "|"
	// 6    419 text    "end"
	// 7     91 text    "|"
	// 8     29 text    ">"
	// 9 200007 control "<|end|>"
}
