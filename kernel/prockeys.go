// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds for reading /proc/keys. Any user may have keys there, with descriptions of up to a
// page.
const (
	maxProcKeys = 64 << 20
	maxProcLine = 8 << 10
)

// procKey is one line of /proc/keys (security/keys/proc.c). It is not reliable: the maker of a
// key chooses its description, which may contain newlines and so forge whole lines. It only
// shows where to look.
type procKey struct {
	id   int
	kind string // its first nine characters
	rest string // the part that depends on the key's type
}

var errProcKeys = errors.New("more keys than can be looked through")

// eachProcKey reads /proc/keys until fn returns true. It skips malformed lines.
func eachProcKey(r io.Reader, fn func(procKey) (done bool)) error {
	limited := &io.LimitedReader{R: r, N: maxProcKeys}
	lines := bufio.NewReaderSize(limited, maxProcLine)
	for whole := true; ; {
		line, err := lines.ReadSlice('\n')
		if whole && (err == nil || errors.Is(err, io.EOF)) {
			if k, ok := parseProcKey(string(line)); ok && fn(k) {
				return nil
			}
		}
		whole = !errors.Is(err, bufio.ErrBufferFull) // the beginning of a long line, which is skipped
		switch {
		case err == nil || !whole:
		case errors.Is(err, io.EOF) && limited.N > 0:
			return nil
		case errors.Is(err, io.EOF):
			return errProcKeys
		default:
			return fmt.Errorf("cannot read keys: %w", err)
		}
	}
}

// parseProcKey parses: serial, flags, usage, timeout, permissions, user, group, type, and a part
// that depends on the type.
func parseProcKey(line string) (k procKey, ok bool) {
	rest := strings.TrimSuffix(line, "\n")
	var fields [8]string
	for i := range fields {
		rest = strings.TrimLeft(rest, " ")
		fields[i], rest, _ = strings.Cut(rest, " ")
	}
	id, err := strconv.ParseInt(fields[0], 16, 32)
	if err != nil || id <= 0 || len(fields[1]) != 7 || len(fields[4]) != 8 || fields[7] == "" {
		return procKey{}, false
	}
	return procKey{int(id), fields[7], strings.TrimLeft(rest, " ")}, true
}
