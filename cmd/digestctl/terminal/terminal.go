// SPDX-License-Identifier: Apache-2.0

// Package terminal prints for people: lines, facts, tables, progress, numbers and times. It
// also prints JSON for programs. It knows neither commands nor digestd.
package terminal

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Is reports whether w is a terminal on which text can be moved and colored.
func Is(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil && os.Getenv("TERM") != "dumb"
}

// Columns returns how wide the terminal is that w writes to, 0 when it is none
// or does not know.
func Columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			return int(size.Col)
		}
	}
	return 0
}
