package inference

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// availableMemory is how many bytes this process may take without another one's
// pages going to disk: what the kernel calls available, or less where a control
// group grants less. 0 is unknown.
func availableMemory() int64 { return availableBelow("/") }

// availableBelow is availableMemory of the system whose files lie below root.
func availableBelow(root string) int64 {
	available := number(filepath.Join(root, "proc/meminfo"), "MemAvailable:") * 1024
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return available
	}
	for line := range strings.Lines(string(groups)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::") // the unified hierarchy
		for ok && available > 0 {
			dir := filepath.Join(root, "sys/fs/cgroup", group)
			if most := number(filepath.Join(dir, "memory.max"), ""); most > 0 {
				// Pages of files are given back when they are needed.
				used := number(filepath.Join(dir, "memory.current"), "") - number(filepath.Join(dir, "memory.stat"), "file ")
				available = min(available, max(most-used, 1))
			}
			ok = group != "/" && group != "."
			group = filepath.Dir(group)
		}
	}
	return available
}

// number reads the number behind a prefix at the start of a line, 0 where there
// is none.
func number(path, prefix string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64) // "max" is none
			return n
		}
	}
	return 0
}
