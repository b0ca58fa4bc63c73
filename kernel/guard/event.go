// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// Act is the use that a process wanted to make of a file.
type Act uint8

const (
	Execute    Act = iota + 1 // exec, also of an interpreter
	Map                       // an executable mapping, for example of a library
	Protect                   // making a mapping executable
	KernelRead                // the kernel reads a module, firmware or a kexec image
	KernelLoad                // a process gives the kernel a module or a kexec image as bytes
	Write                     // strict: opening for writing
	Unseal                    // seal: changing the guard itself
)

var acts = []string{"", "exec", "map", "mprotect", "kernel-read", "kernel-load", "write", "unseal"}

func (a Act) String() string { return word(acts, a) }

// Reason is why a check failed.
type Reason uint8

const (
	Unlisted Reason = iota + 1 // no active list has the content
	Unhashed                   // the kernel gave no SHA-256
	Written                    // a process could write to the file
	Unstable                   // the file system may return other bytes each time, as FUSE may
	Unknown                    // the content was not hashed, and cannot be at this point
	NoMemory
	InUse    // strict: the file is mapped
	TooLarge // it is larger than every file in active lists
	NoFile   // executable memory without a file
	Sealed   // seal: only keepers may change the guard
)

var reasons = []string{"", "unlisted", "unhashed", "written", "unstable", "unknown", "no-memory", "in-use", "too-large", "no-file", "sealed"}

func (r Reason) String() string { return word(reasons, r) }

// EventSize is the length of an event as the kernel writes it.
const EventSize = 480

// Event is one failed check: a refusal or, in mode Audit, a use that mode Enforce would refuse.
type Event struct {
	When    time.Duration // since boot, of CLOCK_MONOTONIC
	File    FileID
	Process Process
	Act     Act
	Reason  Reason
	Refused bool
	Digest  *Digest // of the content; nil if unknown
	Path    string  // as the process saw it; "" where it is not known
}

// FileID identifies a file while its file system is mounted.
type FileID struct {
	Device uint32 // in the kernel's form: major << 20 | minor
	Inode  uint64
}

// Process is the process that used the file.
type Process struct {
	PID, Parent uint32 // in the host's PID namespace
	UID         uint32
	Cgroup      uint64 // inode of the cgroup's directory
	Command     string // name of the thread, up to 15 bytes, which the process chooses
}

// ParseEvent parses an event of EventSize bytes in the byte order of the machine. A process
// chooses Path and Command: they may contain any byte but NUL.
func ParseEvent(b []byte) (*Event, error) { return parseEvent(b, binary.NativeEndian) }

func parseEvent(b []byte, order binary.ByteOrder) (*Event, error) {
	if len(b) != EventSize {
		return nil, fmt.Errorf("an event has %d bytes, not %d", len(b), EventSize)
	}
	u32 := func(at int) uint32 { return order.Uint32(b[at:]) }
	u64 := func(at int) uint64 { return order.Uint64(b[at:]) }
	e := &Event{
		When:    time.Duration(u64(0)),
		File:    FileID{Inode: u64(8), Device: u32(24)},
		Process: Process{Cgroup: u64(16), PID: u32(28), Parent: u32(32), UID: u32(36), Command: text(b[80:96])},
		Act:     Act(b[40]), Reason: Reason(b[41]), Refused: b[42] != 0,
	}
	if b[43] != 0 {
		e.Digest = (*Digest)(bytes.Clone(b[48:80]))
	}
	if n := u32(44); n > 0 && n <= EventSize-96 {
		e.Path = text(b[96 : 96+n])
	}
	return e, nil
}

// text returns the bytes before the first NUL.
func text(b []byte) string {
	before, _, _ := bytes.Cut(b, []byte{0})
	return string(before)
}
