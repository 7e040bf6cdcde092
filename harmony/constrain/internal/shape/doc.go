// Package shape turns a JSON Schema into alternatives of plain shapes: for each
// place of a document the literals, the automata of its numbers and strings, and
// the arrays and objects that may stand there. The applicators (allOf, anyOf,
// oneOf, not, if, $ref) are gone in it. What has no such form is refused with
// the path and the reason.
package shape
