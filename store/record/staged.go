// SPDX-License-Identifier: Apache-2.0

package record

// Staged is a complete list in the staging directory, waiting for its name.
// It may be written by any goroutine; publishing it is the owner's.
type Staged struct {
	name string
	size int
}

// StagedAs is a file that something else than a [Dir] has staged under that name, as
// package memory does. A Dir can do nothing with it.
func StagedAs(name string, size int) Staged { return Staged{name, size} }

// Name returns the name that s has in its staging directory.
func (s Staged) Name() string { return s.name }

// Stamp tells one state of a list file from another without reading it.
type Stamp struct {
	Ino          uint64
	Size         int64
	Mtime, Ctime int64 // in nanoseconds
	Links        uint64
	Regular      bool
}
