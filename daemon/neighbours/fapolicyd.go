// SPDX-License-Identifier: Apache-2.0

package neighbours

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
)

// WriteTrust writes fapolicyd's file of trusted files (fapolicyd.trust(5)): a line
// a file, its path, size and SHA-256 between blanks. A path that holds a blank or
// a control character cannot be said there; skipped counts them.
func WriteTrust(w io.Writer, files Files) (written, skipped int, err error) {
	out := bufio.NewWriter(w)
	out.WriteString("# Files that digestd vouches for; written again whenever that changes.\n")
	var line []byte
	for f, err := range files {
		if err != nil {
			return written, skipped, fmt.Errorf("cannot write trusted files: %w", err)
		}
		// A line that begins so is a comment.
		if f.SHA256 == nil || len(f.Path) == 0 || f.Path[0] == '#' || bytes.ContainsFunc(f.Path, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			skipped++
			continue
		}
		line = append(append(line[:0], f.Path...), ' ')
		line = append(strconv.AppendInt(line, f.Size, 10), ' ')
		line = append(hex.AppendEncode(line, f.SHA256), '\n')
		if _, err := out.Write(line); err != nil {
			return written, skipped, fmt.Errorf("cannot write trusted files: %w", err)
		}
		written++
	}
	return written, skipped, out.Flush()
}
