package pagetext

import "golang.org/x/net/html/atom"

// void elements have no content and no closing tag.
func void(t atom.Atom) bool {
	switch t {
	case atom.Area, atom.Base, atom.Basefont, atom.Bgsound, atom.Br, atom.Col, atom.Embed, atom.Frame,
		atom.Hr, atom.Img, atom.Input, atom.Keygen, atom.Link, atom.Meta, atom.Param, atom.Source,
		atom.Track, atom.Wbr:
		return true
	}
	return false
}

// inHead elements do not end the head.
func inHead(t atom.Atom) bool {
	switch t {
	case atom.Title, atom.Meta, atom.Link, atom.Base, atom.Script, atom.Style, atom.Noscript, atom.Template:
		return true
	}
	return false
}

// barriers is the number of ranks.
const barriers = 8

// rank is an element's closing power: a closing tag does not reach past an
// open element of higher rank.
func rank(t atom.Atom) int {
	switch t {
	case atom.Div:
		return 1
	case atom.Td, atom.Th:
		return 2
	case atom.Tr:
		return 3
	case atom.Thead, atom.Tbody, atom.Tfoot:
		return 4
	case atom.Table:
		return 5
	case atom.Head, atom.Body:
		return 6
	case atom.Html:
		return 7
	}
	return 0
}

// closes reports whether an opening tag ends the element that is open, as HTML
// 4 lets a closing tag be left out.
func closes(tag, open atom.Atom) bool {
	switch open {
	case atom.P:
		return endsParagraph(tag)
	case atom.Li:
		return tag == atom.Li
	case atom.Dt:
		return tag == atom.Dd || tag == atom.Dt || tag == atom.Dl
	case atom.Dd:
		return tag == atom.Dt || tag == atom.Dd
	case atom.A:
		return tag == atom.A || tag == atom.Fieldset || tag == atom.Table || tag == atom.Td || tag == atom.Th
	case atom.Option:
		return tag == atom.Option || tag == atom.Optgroup
	case atom.Optgroup:
		return tag == atom.Optgroup
	case atom.Td, atom.Th:
		return tag == atom.Td || tag == atom.Th || tag == atom.Tr || section(tag)
	case atom.Tr:
		return tag == atom.Tr || section(tag)
	case atom.Caption, atom.Colgroup:
		return tag == atom.Tr || tag == atom.Col && open == atom.Caption || tag == atom.Colgroup || tag == atom.Thead || section(tag)
	case atom.Thead, atom.Tbody, atom.Tfoot:
		return section(tag)
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		return tag == atom.P || tag == atom.Li || tag == atom.Form || tag == atom.Fieldset || tag == atom.Table
	}
	return false
}

func section(t atom.Atom) bool { return t == atom.Tbody || t == atom.Tfoot }

func endsParagraph(t atom.Atom) bool {
	switch t {
	case atom.Address, atom.Blockquote, atom.Body, atom.Caption, atom.Center, atom.Col, atom.Colgroup,
		atom.Dd, atom.Dir, atom.Div, atom.Dl, atom.Dt, atom.Fieldset, atom.Form, atom.Frameset,
		atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Head, atom.Hr, atom.Li, atom.Listing,
		atom.Menu, atom.Ol, atom.P, atom.Pre, atom.Table, atom.Tbody, atom.Td, atom.Tfoot, atom.Th,
		atom.Title, atom.Tr, atom.Ul, atom.Xmp:
		return true
	}
	return false
}
