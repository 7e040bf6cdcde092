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
