// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"path"
)

// Mode decides what follows from a rollback.
type Mode uint8

// The modes, named as in the setting "mode".
const (
	Enforce  Mode = iota // "enforce": the transaction is vetoed
	Withhold             // "withhold": it runs, the package has no list
	Audit                // "audit": it runs, and is reported
)

var modes = [...]string{"enforce", "withhold", "audit"}

func (m Mode) String() string { return modes[m] }

// ParseMode parses the result of [Mode.String].
func ParseMode(s string) (Mode, error) {
	for i, name := range modes {
		if s == name {
			return Mode(i), nil
		}
	}
	return 0, fmt.Errorf("unknown mode %q: want enforce, withhold or audit", s)
}

// Unsigned decides about packages without a signature.
type Unsigned uint8

// The policies for unsigned packages, named as in the setting "unsigned".
const (
	UnsignedWithhold Unsigned = iota // "withhold": it has no list
	UnsignedAllow                    // "allow": it has one, vouched for by nobody
)

var unsigneds = [...]string{"withhold", "allow"}

func (u Unsigned) String() string { return unsigneds[u] }

// ParseUnsigned parses the result of [Unsigned.String].
func ParseUnsigned(s string) (Unsigned, error) {
	for i, name := range unsigneds {
		if s == name {
			return Unsigned(i), nil
		}
	}
	return 0, fmt.Errorf("unknown policy %q for unsigned packages: want withhold or allow", s)
}

// IsMulti reports whether name matches one of the globs (path.Match) for packages that are
// installed in several versions side by side, such as kernels. A malformed glob matches nothing.
func IsMulti(globs []string, name string) bool {
	for _, glob := range globs {
		if ok, err := path.Match(glob, name); err == nil && ok {
			return true
		}
	}
	return false
}
