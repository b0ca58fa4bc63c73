// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"fmt"
	"slices"
	"time"
)

// DefaultDir is where the guard is pinned, on a BPF file system. Directories below it whose
// names begin with SetPrefix hold the programs: without them nothing is checked.
const (
	DefaultDir = "/sys/fs/bpf/digestd"
	SetPrefix  = "set-"
)

// Keepers are the programs that touch a guard that is sealed, by where they are installed.
// Their digests count: those that active lists have for these paths.
var Keepers = []string{"/usr/sbin/digestd-guard", "/usr/bin/digestctl"}

// Mode is what the guard does with a content that no active list holds. The
// numbers are those that the programs in the kernel use.
type Mode uint32

const (
	Off     Mode = iota // nothing is checked
	Audit               // it runs, and the guard tells of it
	Enforce             // it is refused
)

var modes = []string{"off", "audit", "enforce"}

func (m Mode) String() string { return word(modes, m) }

// ParseMode returns the mode that a word names.
func ParseMode(s string) (Mode, error) {
	i := slices.Index(modes, s)
	if i < 0 {
		return Off, fmt.Errorf("mode %q is none of off, audit and enforce", s)
	}
	return Mode(i), nil
}

// Settings are what the owner decides about the guard.
type Settings struct {
	Mode    Mode
	Strict  bool   // libraries that are mapped cannot be opened for writing
	Seal    bool   // only keepers change the guard's maps, pins and their mount
	Modules Mode   // for modules, firmware and kexec images; at most Mode counts
	Largest uint64 // size of the largest listed file in bytes; 0: not known

	// Trial is how long Enforce lasts from now on, while the machine runs or sleeps;
	// then the kernel goes on as in Audit by itself. 0: it has no end.
	Trial time.Duration
}

// word returns the name of a number, or the number where there is none.
func word[N ~uint8 | ~uint32](names []string, n N) string {
	if int(n) < len(names) && names[n] != "" {
		return names[n]
	}
	return fmt.Sprintf("%d", uint32(n))
}
