// SPDX-License-Identifier: Apache-2.0

package confine

import (
	"strings"
)

// Words keep the beginning of what a process says that may say anything, without end: as
// its standard error.
type Words struct {
	Most int // bytes
	said []byte
}

func (w *Words) Write(p []byte) (int, error) {
	w.said = append(w.said, p[:min(len(p), w.Most-len(w.said))]...)
	return len(p), nil
}

// First is the first line of it, or else err, by which the process ended; at most 200 bytes.
func (w *Words) First(err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(w.said)), "\n")
	if line == "" && err != nil {
		line = err.Error()
	}
	const most = 200
	return line[:min(len(line), most)]
}
