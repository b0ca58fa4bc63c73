// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"fmt"
	"slices"
	"time"
)

// DefaultDir is the directory in which the guard is pinned, on a BPF file system. Its
// subdirectories whose names begin with SetPrefix hold the programs: without them nothing is
// checked.
const (
	DefaultDir = "/sys/fs/bpf/digestd"
	SetPrefix  = "set-"
)

// Keepers are the installed paths of the programs that may change a sealed guard. They are
// identified by the digests that active lists have for these paths.
var Keepers = []string{"/usr/sbin/digestd-guard", "/usr/bin/digestctl"}

// Mode is what the guard does about a content that no active list has. The numbers are those of
// the programs in the kernel.
type Mode uint32

const (
	Off     Mode = iota // nothing is checked
	Audit               // it runs, and the guard reports it
	Enforce             // it is refused
)

var modes = []string{"off", "audit", "enforce"}

func (m Mode) String() string { return word(modes, m) }

// ParseMode returns the mode of that name.
func ParseMode(s string) (Mode, error) {
	i := slices.Index(modes, s)
	if i < 0 {
		return Off, fmt.Errorf("mode %q is none of off, audit and enforce", s)
	}
	return Mode(i), nil
}

// Settings are the owner's settings of the guard.
type Settings struct {
	Mode    Mode
	Strict  bool   // mapped libraries cannot be opened for writing
	Seal    bool   // only keepers may change the guard's maps, pins and their mount
	Modules Mode   // for modules, firmware and kexec images; at most Mode
	Largest uint64 // size of the largest listed file in bytes; 0: unknown

	// Trial is how long Enforce lasts from now on, including time asleep; then the kernel
	// switches to Audit by itself. 0: no end.
	Trial time.Duration
}

// word returns the name of a number, or the number if it has no name.
func word[N ~uint8 | ~uint32](names []string, n N) string {
	if int(n) < len(names) && names[n] != "" {
		return names[n]
	}
	return fmt.Sprintf("%d", uint32(n))
}
