package constrain_test

import (
	"encoding/json"
	"fmt"

	"chorale/harmony"
	"chorale/harmony/constrain"
)

// A conversation with one function, which the model must call. What is
// determined is forced; of the cities it has the choice.
func ExampleVocabulary_Harmony() {
	enc := harmony.O200kHarmony()
	v, err := constrain.NewVocabulary(enc)
	if err != nil {
		fmt.Println(err)
		return
	}
	weather := harmony.Function{
		Name:       "get_weather",
		Parameters: json.RawMessage(`{"type":"object","properties":{"city":{"enum":["Lisbon","Oslo"]}},"required":["city"],"additionalProperties":false}`),
	}
	g, err := v.Harmony(constrain.Conversation{
		Tools:  []harmony.Namespace{{Name: harmony.FunctionsNamespace, Functions: []harmony.Function{weather}}},
		Choice: constrain.MustCall,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := g.Start() // behind <|start|>assistant
	for _, id := range enc.EncodeWithSpecial(`<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"`) {
		if err := s.Accept(id); err != nil {
			fmt.Println(err)
		}
	}
	for _, city := range []string{"Lisbon", "Oslo", "Paris"} {
		first := enc.Encode(city)[0]
		fmt.Println(city, constrain.Mask(s.Mask()).Has(first))
	}
	// Output:
	// Lisbon true
	// Oslo true
	// Paris false
}
