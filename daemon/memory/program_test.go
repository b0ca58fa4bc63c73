// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// mappedCode is how many KiB of the program's code are mapped.
func mappedCode(t *testing.T) (kib int) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	code := false
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		switch {
		case len(f) > 4 && !strings.HasSuffix(f[0], ":"):
			code = f[1] == "r-xp" && f[4] != "0"
		case code && f[0] == "Rss:":
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			kib += n
		}
	}
	return kib
}

// Code that is not needed any more is no memory of the process, and what is needed works on.
func TestUnmapProgram(t *testing.T) {
	before := mappedCode(t)
	unmapProgram()
	if after := mappedCode(t); before == 0 || after >= before {
		t.Errorf("%d KiB of code are mapped, %d KiB before", after, before)
	}
}
