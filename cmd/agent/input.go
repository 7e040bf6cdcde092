package main

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// awaited waits for something that may never come, as what a person types, but no
// longer than ctx lasts. What was begun then goes on in vain, until the process ends.
func awaited[T any](ctx context.Context, begin func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := begin()
		done <- result{value, err}
	}()
	select {
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	case r := <-done:
		return r.value, r.err
	}
}

func readAll(ctx context.Context, in io.Reader) ([]byte, error) {
	return awaited(ctx, func() ([]byte, error) { return io.ReadAll(in) })
}

// readLine reads a line and no more: what follows is for whoever asks next.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	return awaited(ctx, func() (string, error) {
		var line []byte
		for b := make([]byte, 1); ; {
			n, err := in.Read(b)
			switch {
			case n > 0 && b[0] == '\n':
				return string(line), nil
			case n > 0:
				line = append(line, b[0])
			case err != nil:
				return "", err
			}
		}
	})
}

// confirmed asks until there is an answer. The end of input is a no.
func confirmed(ctx context.Context, std streams, question string) (bool, error) {
	for {
		fmt.Fprint(std.out, show(question)+" [y] yes  [n] no: ")
		line, err := readLine(ctx, std.in)
		if err != nil {
			fmt.Fprintln(std.out)
			return false, context.Cause(ctx)
		}
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
	}
}
