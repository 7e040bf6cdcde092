package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"

	"chorale/tools"
)

// Func makes a function of a Go function. The schema of its arguments is
// inferred from In, a struct:
//
//	type In struct {
//		City string   `json:"city" doc:"Name of the city"`
//		Unit string   `json:"unit,omitempty" enum:"C,F"`
//		Days []int    `json:"days,omitempty"`
//	}
//
// A field with omitempty or of pointer type is optional. Numbers, strings,
// bools, slices, maps with string keys and structs are possible. Out is given
// to the model as JSON, a string as it is. An error of fn is told to the model;
// fn must return soon after ctx is done. The function counts as one with side
// effects unless ReadOnly says otherwise.
//
// A type that cannot be an argument is reported by New.
func Func[In, Out any](name, description string, fn func(context.Context, In) (Out, error)) Function {
	parameters, err := infer(reflect.TypeFor[In]())
	if err != nil {
		return Function{name: name, err: err}
	}
	return Dynamic(name, description, parameters, func(ctx context.Context, args json.RawMessage) (string, error) {
		var in In
		if err := json.Unmarshal(args, &in); err != nil {
			return "", mismatch(err)
		}
		out, err := fn(ctx, in)
		if err != nil {
			return "", err
		}
		if text, ok := any(out).(string); ok {
			return text, nil
		}
		text, err := encode(out)
		if err != nil {
			return "", &bug{fmt.Errorf("write result: %w", err)}
		}
		return string(text), nil
	})
}

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
		var ours *bug
		switch {
		case ctx.Err() != nil:
			return tools.Result{}, context.Cause(ctx)
		case errors.As(err, &ours):
			return tools.Result{}, err
		case err != nil:
			return failed(err, l), nil
		}
		return tools.Result{Text: text}, nil
	}
	return f
}

// interruptible runs fn and returns when ctx is done, even if fn does not.
func interruptible(ctx context.Context, args json.RawMessage, fn func(context.Context, json.RawMessage) (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if v := recover(); v != nil {
				r.err = &bug{fmt.Errorf("panic: %v\n%s", v, debug.Stack())}
			}
			done <- r
		}()
		r.text, r.err = fn(ctx, args)
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// bug is a function's own fault: it is not the model's to mend.
type bug struct{ error }

// mismatch puts a decoding error into words: arguments that meet the schema and
// still do not fit the Go type, as 5.0 does not fit an int.
func mismatch(err error) error {
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		return fmt.Errorf("invalid arguments: %s: cannot take %s as %s", typed.Field, typed.Value, typed.Type)
	}
	return fmt.Errorf("invalid arguments: %w", err)
}
