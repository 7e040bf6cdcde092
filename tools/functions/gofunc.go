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
	f := Function{name: name, description: description}
	if f.parameters, f.err = infer(reflect.TypeFor[In]()); f.err != nil {
		return f
	}
	if f.schema, f.err = compileSchema(f.parameters); f.err != nil {
		return f
	}
	f.run = func(ctx context.Context, args arguments, l tools.Limits) (tools.Result, error) {
		var in In
		if err := json.Unmarshal([]byte(args.json), &in); err != nil {
			return failed(mismatch(err), l), nil
		}
		out, err := interruptible(ctx, in, fn)
		if ctx.Err() != nil {
			return tools.Result{}, context.Cause(ctx)
		}
		var bug *panicked
		if errors.As(err, &bug) {
			return tools.Result{}, err
		}
		if err != nil {
			return failed(err, l), nil
		}
		if text, ok := any(out).(string); ok {
			return tools.Result{Text: text}, nil
		}
		text, err := json.Marshal(out)
		if err != nil {
			return tools.Result{}, fmt.Errorf("write result: %w", err)
		}
		return tools.Result{Text: string(text)}, nil
	}
	return f
}

// interruptible runs fn and returns when ctx is done, even if fn does not.
func interruptible[In, Out any](ctx context.Context, in In, fn func(context.Context, In) (Out, error)) (Out, error) {
	type result struct {
		out Out
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if v := recover(); v != nil {
				r.err = &panicked{fmt.Errorf("panic: %v\n%s", v, debug.Stack())}
			}
			done <- r
		}()
		r.out, r.err = fn(ctx, in)
	}()
	select {
	case r := <-done:
		return r.out, r.err
	case <-ctx.Done():
		var none Out
		return none, ctx.Err()
	}
}

// panicked is a bug in a function: it is not the model's to mend.
type panicked struct{ error }

// mismatch puts a decoding error into words: arguments that meet the schema and
// still do not fit the Go type, as 5.0 does not fit an int.
func mismatch(err error) error {
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		return fmt.Errorf("invalid arguments: %s: cannot take %s as %s", typed.Field, typed.Value, typed.Type)
	}
	return fmt.Errorf("invalid arguments: %w", err)
}
