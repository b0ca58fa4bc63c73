// SPDX-License-Identifier: Apache-2.0

// Package confine removes rights from a process that parses untrusted data: it can open no file,
// make no socket and execute no program any more, and its resources are limited. It must open
// all files that it needs before.
package confine

import (
	"fmt"
	"maps"

	"golang.org/x/sys/unix"
)

// Process confines this process permanently. limits maps RLIMIT_* to values; the process can
// also write no file and no core dump.
func Process(limits map[int]uint64) error {
	if err := restrict(withDefaults(limits)); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot give up new privileges: %w", err)
	}
	return filterCalls()
}

// withDefaults returns limits, with those that each confined process has.
func withDefaults(limits map[int]uint64) map[int]uint64 {
	all := map[int]uint64{unix.RLIMIT_FSIZE: 0, unix.RLIMIT_CORE: 0}
	maps.Copy(all, limits)
	return all
}

// restrict sets limits of this process.
func restrict(limits map[int]uint64) error {
	for resource, limit := range limits {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("cannot limit resource %d: %w", resource, err)
		}
	}
	return nil
}
