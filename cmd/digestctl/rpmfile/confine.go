// SPDX-License-Identifier: Apache-2.0

package rpmfile

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// limits of the process that reads a package: memory for the largest dictionary of a
// compressor, time for the largest package, no file.
var limits = map[int]uint64{
	unix.RLIMIT_AS:    4 << 30, // bytes of address space, of which Go reserves much and uses little
	unix.RLIMIT_CPU:   600,     // seconds
	unix.RLIMIT_FSIZE: 0,
	unix.RLIMIT_CORE:  0,
}

// confine takes from the process what it needs no more, for good.
func confine() error {
	for resource, limit := range limits {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("cannot limit resource %d: %w", resource, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot give up new privileges: %w", err)
	}
	return filterCalls()
}
