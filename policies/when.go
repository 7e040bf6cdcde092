package policies

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"chorale/internal/strictyaml"
	"chorale/policies/provenance"
)

// formula is the condition of a rule's `when:`, in CEL (cel.dev): an expression
// without loops of its own, side effects, clock or I/O. It was parsed,
// type-checked and its cost estimated when the file was loaded.
type formula struct{ program cel.Program }

const (
	// maxCost bounds an evaluation, in CEL's units: about a millisecond.
	maxCost = 50_000
	// supposedSize is what the estimate at load takes a list, map or string of
	// the call's arguments to hold. Greater ones are bounded when they come.
	supposedSize = 32
	maxFormula   = 2000 // bytes
)

// formulas is the environment that conditions are checked in. What it declares
// is all that they can see.
var formulas = func() *cel.Env {
	text := func(name string, f func(string) string) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_string", []*cel.Type{cel.StringType}, cel.StringType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return types.String(f(string(v.(types.String)))) })))
	}
	env, err := cel.NewEnv(
		cel.Variable("tool", cel.StringType),
		cel.Variable("effect", cel.StringType),
		cel.Variable("args", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("prov", cel.MapType(cel.StringType, cel.MapType(cel.StringType, cel.StringType))),
		text("host", provenance.Host),
		text("domain", provenance.Domain),
		text("sha256", func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }),
		cel.Function("glob", cel.Overload("glob_string_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(func(pattern, s ref.Val) ref.Val {
				return types.Bool(glob(string(pattern.(types.String)), string(s.(types.String))))
			}))),
	)
	if err != nil {
		panic(fmt.Sprintf("policies: the environment of when: %v", err)) // a test loads one
	}
	return env
}()

// UnmarshalText compiles an expression. Its complaints bear their place in it.
func (f *formula) UnmarshalText(text []byte) error {
	if len(text) > maxFormula {
		return fmt.Errorf("is longer than %d bytes", maxFormula)
	}
	ast, issues := formulas.Compile(string(text))
	if issues != nil && issues.Err() != nil {
		first := issues.Errors()[0]
		return strictyaml.Within(first.Location.Line(), first.Location.Column()+1, errors.New(first.Message))
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) {
		return fmt.Errorf("must be true or false, but is of type %s", t)
	}
	estimate, err := formulas.EstimateCost(ast, sizes{})
	if err != nil {
		return err
	}
	if estimate.Max > maxCost {
		return fmt.Errorf("may cost %d steps on arguments of ordinary size, and %d are permitted; nest fewer all, exists, map and filter", estimate.Max, maxCost)
	}
	f.program, err = formulas.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	return err
}

// sizes is the cost estimator's knowledge of arguments.
type sizes struct{}

func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	if len(n.Path()) == 0 {
		return nil
	}
	return &cost.SizeEstimate{Min: 0, Max: supposedSize}
}

func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// errCondition denies a call whose condition cannot be decided: a missing
// argument, one of another type, a cost that is too high.
var errCondition = errors.New("the rule cannot be applied to these arguments")

// holds evaluates the condition on a call.
func (f *formula) holds(a *arguments) (bool, error) {
	vars, err := a.variables()
	if err != nil {
		return false, err
	}
	out, _, err := f.program.Eval(vars)
	if err != nil {
		return false, errCondition
	}
	b, ok := out.(types.Bool)
	if !ok {
		return false, errCondition
	}
	return bool(b), nil
}

// native is a JSON value as CEL takes it: whole numbers are int, others double.
func native(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64() // what is beyond all bounds is infinite
		return f
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = native(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = native(v[k])
		}
		return out
	}
	return v
}
