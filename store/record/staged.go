// SPDX-License-Identifier: Apache-2.0

package record

// Staged is a complete list in the staging directory that has no final name yet. Any goroutine
// may write it; the owner of the directory publishes it.
type Staged struct {
	name string
	size int
}

// StagedAs returns a file that another implementation than [listdir.Dir] has staged, such as
// package inmemory. A listdir.Dir cannot use it.
func StagedAs(name string, size int) Staged { return Staged{name, size} }

// Name returns the name of s in its staging directory.
func (s Staged) Name() string { return s.name }

// Stamp identifies one state of a list's file, without reading it.
type Stamp struct {
	Ino          uint64
	Size         int64
	Mtime, Ctime int64 // in nanoseconds
	Links        uint64
	Regular      bool
}
