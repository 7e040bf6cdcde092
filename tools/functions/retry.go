package functions

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"chorale/internal/strictjson"
	"chorale/tools"
)

// maxRetries bounds the tries after the first.
const maxRetries = 5

// runner is the body of a function.
type runner = func(ctx context.Context, args arguments, l tools.Limits) (tools.Result, error)

// retrying tries a call again where a failure may pass, within the call's time.
// A call that has no key gets one.
func retrying(run runner, retries int) runner {
	return func(ctx context.Context, args arguments, l tools.Limits) (tools.Result, error) {
		if args.key == "" {
			args.key = rand.Text()
		}
		const no = time.Duration(-1)
		for try := 0; ; try++ {
			wait := no
			args.retry = &wait
			r, err := run(ctx, args, l)
			if err != nil || wait == no || try == retries {
				return r, err
			}
			wait = max(wait, 200*time.Millisecond<<try)
			if end, ok := ctx.Deadline(); ok && time.Until(end) <= wait {
				return r, nil // tells more than that the time is over
			}
			pause := time.NewTimer(wait)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return r, context.Cause(ctx)
			}
		}
	}
}

// checking holds results against a schema: what does not fit it is no result.
func checking(run runner, s *schema) runner {
	return func(ctx context.Context, args arguments, l tools.Limits) (tools.Result, error) {
		r, err := run(ctx, args, l)
		if err != nil || r.Failed {
			return r, err
		}
		v, err := strictjson.Parse(strings.TrimSpace(r.Text))
		if err != nil {
			return failed(fmt.Errorf("the function's result is not JSON as it should be: %w", err), l), nil
		}
		if err := s.compiled.Validate(v); err != nil {
			return failed(fmt.Errorf("the function's result is not what it should be: %s", s.problems(err)), l), nil
		}
		return r, nil
	}
}
