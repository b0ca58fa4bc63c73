// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"path"
)

// Mode is what becomes of a package that would bring an old version back.
type Mode uint8

// Modes, as the setting "mode" names them.
const (
	Enforce  Mode = iota // "enforce": the transaction is vetoed
	Withhold             // "withhold": it runs, the package has no list
	Audit                // "audit": it runs, and is reported
)

var modes = [...]string{"enforce", "withhold", "audit"}

func (m Mode) String() string { return modes[m] }

// ParseMode reads a Mode as String gives it.
func ParseMode(s string) (Mode, error) {
	for i, name := range modes {
		if s == name {
			return Mode(i), nil
		}
	}
	return 0, fmt.Errorf("unknown mode %q: want enforce, withhold or audit", s)
}

// Unsigned is what becomes of a package that nobody signed.
type Unsigned uint8

// Policies for unsigned packages, as the setting "unsigned" names them.
const (
	UnsignedWithhold Unsigned = iota // "withhold": it has no list
	UnsignedAllow                    // "allow": it has one, vouched for by nobody
)

var unsigneds = [...]string{"withhold", "allow"}

func (u Unsigned) String() string { return unsigneds[u] }

// ParseUnsigned reads an Unsigned as String gives it.
func ParseUnsigned(s string) (Unsigned, error) {
	for i, name := range unsigneds {
		if s == name {
			return Unsigned(i), nil
		}
	}
	return 0, fmt.Errorf("unknown policy %q for unsigned packages: want withhold or allow", s)
}

// IsMulti reports whether name is, by one of the globs (path.Match), a package
// of which several versions are installed side by side, as kernels are. A
// malformed glob matches nothing.
func IsMulti(globs []string, name string) bool {
	for _, glob := range globs {
		if ok, err := path.Match(glob, name); err == nil && ok {
			return true
		}
	}
	return false
}
