package functions

import (
	"context"
	"encoding/json"
	"errors"

	"chorale/tools"
)

// Dynamic is Func for a function whose schema is known only when the program
// runs. fn is given the arguments as JSON without spaces, checked against the
// schema, with its defaults filled in; nil parameters take no arguments. Its
// text goes to the model as it is.
func Dynamic(name, description string, parameters json.RawMessage, fn func(context.Context, json.RawMessage) (string, error)) Function {
	f := Function{name: name, description: description, parameters: parameters}
	if f.schema, f.err = compileSchema(parameters); f.err != nil {
		return f
	}
	f.run = func(ctx context.Context, args arguments, l tools.Limits) (tools.Result, error) {
		text, err := interruptible(ctx, json.RawMessage(args.json), fn)
		var bug *panicked
		switch {
		case ctx.Err() != nil:
			return tools.Result{}, context.Cause(ctx)
		case errors.As(err, &bug):
			return tools.Result{}, err
		case err != nil:
			return failed(err, l), nil
		}
		return tools.Result{Text: text}, nil
	}
	return f
}
