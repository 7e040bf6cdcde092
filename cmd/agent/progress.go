package main

import (
	"fmt"
	"strings"
	"sync"

	"chorale/inference"
)

// longBytes is from how many bytes on a line is worth writing for each tenth of
// them where there is no terminal.
const longBytes = 1e9

// byteProgress says on the error stream how far something has come: by a bar
// where a person sees it, else by a line for every tenth of what takes long. The
// bar is gone when all is done. It may be called from several goroutines.
func byteProgress(std streams, what string) func(done, total int64) {
	var mu sync.Mutex
	last := int64(-1)
	return func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		if total <= 0 {
			return
		}
		switch percent := done * 100 / total; {
		case percent <= last:
		case std.terminal:
			last = percent
			drawBar(std, what, done, total)
		case total >= longBytes && percent/10 > last/10:
			last = percent
			std.log.Info(fmt.Sprintf("%s: %d %% of %s", what, percent, inference.GB(total)))
		}
	}
}

// opening is told how far the opening of a model is; it may have neither.
type opening struct {
	loaded func(done, total int64)
	tested func(profile string, done, total int)
}

func showOpening(std streams) opening {
	return opening{byteProgress(std, "loading the model"), testProgress(std)}
}

// testProgress says on the error stream how far the self-test of a GPU has come: by a
// line that is gone when a profile is done where a person sees it, else by a line for
// each.
func testProgress(std streams) func(profile string, done, total int) {
	return func(profile string, done, total int) {
		switch text := fmt.Sprintf("testing the GPU's kernels: %s, %d of %d operations", profile, done, total); {
		case std.terminal && done >= total:
			fmt.Fprint(std.err, "\r\033[K")
		case std.terminal:
			fmt.Fprint(std.err, "\r\033[K"+text)
		case done == 0 && total > 0:
			std.log.Info(fmt.Sprintf("testing the GPU's kernels: %s", profile))
		}
	}
}

func drawBar(std streams, what string, done, total int64) {
	const width = 30
	if done >= total {
		fmt.Fprint(std.err, "\r\033[K")
		return
	}
	full := int(done * width / total)
	fmt.Fprintf(std.err, "\r\033[K%s [%s%s] %s of %s", what, strings.Repeat("#", full), strings.Repeat(".", width-full),
		inference.GB(done), inference.GB(total))
}
