// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"errors"
	"fmt"
)

var (
	// ErrEmpty is that there is no digest to write: the kernel refuses an empty
	// list, which must not be written at all.
	ErrEmpty = errors.New("no digests for a list")
	// ErrWeakDigest is that the file digests are of an algorithm for which
	// collisions are known.
	ErrWeakDigest = errors.New("file digests of a broken algorithm")
	// ErrUnsigned is that a file ends without the mark of an appended signature.
	ErrUnsigned = errors.New("no appended signature")
)

// SyntaxError is where and why a list, its name or its signature is malformed.
type SyntaxError struct {
	Offset int    // of the field, in bytes from the start
	Field  string // as the kernel calls it
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("at byte %d, %s: %s", e.Offset, e.Field, e.Reason)
}

func syntax(offset int, field, format string, args ...any) error {
	return &SyntaxError{offset, field, fmt.Sprintf(format, args...)}
}
