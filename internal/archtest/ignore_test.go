package archtest

import (
	"go/ast"
	"go/build/constraint"
	"go/token"
)

// ignored reports whether a build constraint keeps the file out of every
// build, as generators do with «//go:build ignore».
func ignored(comments []*ast.CommentGroup, pkg token.Pos) bool {
	for _, group := range comments {
		for _, c := range group.List {
			if c.Pos() > pkg || !constraint.IsGoBuild(c.Text) {
				continue
			}
			expr, err := constraint.Parse(c.Text)
			if err == nil && !expr.Eval(func(tag string) bool { return tag != "ignore" }) && expr.Eval(func(string) bool { return true }) {
				return true
			}
		}
	}
	return false
}
