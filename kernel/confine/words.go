// SPDX-License-Identifier: Apache-2.0

package confine

import (
	"strings"
)

// Words keeps the beginning of a process's output, such as its standard error, and discards the
// rest.
type Words struct {
	Most int // in bytes
	said []byte
}

func (w *Words) Write(p []byte) (int, error) {
	w.said = append(w.said, p[:min(len(p), w.Most-len(w.said))]...)
	return len(p), nil
}

// First returns the first line, at most 200 bytes, or err if there is none.
func (w *Words) First(err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(w.said)), "\n")
	if line == "" && err != nil {
		line = err.Error()
	}
	const most = 200
	return line[:min(len(line), most)]
}
