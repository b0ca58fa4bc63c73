// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"errors"
	"fmt"
)

var (
	// ErrEmpty means that there is no digest to write: the kernel refuses an empty list, so none
	// must be written.
	ErrEmpty = errors.New("no digests for a list")
	// ErrWeakDigest means that the file digests are of an algorithm for which collisions are
	// known.
	ErrWeakDigest = errors.New("file digests of a broken algorithm")
	// ErrUnsigned means that a file ends without the mark of an appended signature.
	ErrUnsigned = errors.New("no appended signature")
)

// SyntaxError names the place and the kind of an error in a list, its name or its signature.
type SyntaxError struct {
	Offset int    // of the field, in bytes from the start
	Field  string // the kernel's name for it
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("at byte %d, %s: %s", e.Offset, e.Field, e.Reason)
}

func syntax(offset int, field, format string, args ...any) error {
	return &SyntaxError{offset, field, fmt.Sprintf(format, args...)}
}
