package archtest

import (
	"go/ast"
	"go/types"
	"testing"

	"golang.org/x/tools/go/packages"
)

// door is the one function that may run a tool: the agent's, after the
// policy's decision.
const door = "chorale/agent.invoke"

// TestOneDoor type-checks the whole module and finds every use of the Call
// method of anything that is a tools.Tool, called or taken as a value. A tool's own package may call
// itself; everybody else must go through the door.
func TestOneDoor(t *testing.T) {
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedImports | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedExportFile,
		Dir:  root,
	}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	tool := toolInterface(t, pkgs)
	doors := 0
	for _, pkg := range pkgs {
		for _, e := range pkg.Errors {
			t.Fatalf("load %s: %v", pkg.PkgPath, e)
		}
		if pkg.PkgPath == module+"/tools/tooltest" {
			continue // the contract suite that tools are tested with
		}
		for _, file := range pkg.Syntax {
			for _, decl := range file.Decls {
				name := ""
				if fn, ok := decl.(*ast.FuncDecl); ok {
					name = fn.Name.Name
				}
				ast.Inspect(decl, func(n ast.Node) bool {
					sel, ok := n.(*ast.SelectorExpr)
					if !ok || sel.Sel.Name != "Call" {
						return true
					}
					picked := pkg.TypesInfo.Selections[sel] // nil behind a package's name
					if picked == nil || picked.Kind() == types.FieldVal {
						return true
					}
					recv := picked.Recv()
					if !(types.Implements(recv, tool) || types.Implements(types.NewPointer(recv), tool)) {
						return true
					}
					if pkg.PkgPath+"."+name == door {
						doors++
					} else if named, ok := deref(recv).(*types.Named); !ok || named.Obj().Pkg() != pkg.Types {
						t.Errorf("%s: %s.%s calls a tool; only %s may", pkg.Fset.Position(sel.Pos()), pkg.PkgPath, name, door)
					}
					return true
				})
			}
		}
	}
	if doors != 1 {
		t.Errorf("%s calls a tool at %d places, want exactly one", door, doors)
	}
}

func toolInterface(t *testing.T, pkgs []*packages.Package) *types.Interface {
	t.Helper()
	for _, pkg := range pkgs {
		if pkg.PkgPath == module+"/tools" {
			return pkg.Types.Scope().Lookup("Tool").Type().Underlying().(*types.Interface)
		}
	}
	t.Fatal("package chorale/tools is not there")
	return nil
}

func deref(t types.Type) types.Type {
	if p, ok := t.(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}
