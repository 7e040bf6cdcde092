// Package constrain computes which tokens a model may say next, so that what it
// emits is right by construction: a JSON document that its schema accepts, in a
// vocabulary of any size.
//
//	v, err := constrain.NewVocabulary(harmony.O200kHarmony())
//	s, err := v.Compile(schema, constrain.Options{End: []harmony.Token{call}})
//	m := s.Start()
//	for !m.Ended() {
//		id := sample(logits, m.Mask())
//		err := m.Accept(id)
//	}
//
// A [Vocabulary] is made once for an encoding, a [Schema] once for a JSON
// Schema, and a [Matcher] once for a document. The first two never change and
// can be used by any number of goroutines at once; a matcher belongs to one.
//
// Documents are written compactly, their keys in the order in which the schema
// declares them, undeclared keys last. What a mask cannot hold is refused by
// Compile with the path and the reason, or, if [Options.Lenient] says so, left
// out and listed by [Schema.Unenforced]. Nothing is ignored in silence.
//
// A [Grammar] is the same for all that the model may say in a conversation, from
// behind <|start|>assistant to its call or answer: headers with declared channels
// and recipients, free text, and documents in their place. A [Speech] follows it
// as a matcher follows a document.
//
//	g, err := v.Harmony(constrain.Conversation{Tools: tools})
//	s := g.Start()
package constrain
