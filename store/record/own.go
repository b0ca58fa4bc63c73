// SPDX-License-Identifier: Apache-2.0

package record

import (
	"time"
)

// Change is a change of a list's file. It is recorded before it is made, so that a start after a
// crash completes it.
type Change string

// The changes of a list's file.
const (
	Publishing Change = "publish" // an older content may still be in the directory
	Removing   Change = "remove"
	Moving     Change = "move" // the file stays until no file is bound to it
)

// Own is the record of an own list. It stays when the list is removed, so that its versions go
// on.
type Own struct {
	Name    string    `json:"-"`
	List    string    `json:"list"`              // the name of its file
	Version uint64    `json:"version"`           // the active version, or the last one
	Last    uint64    `json:"last"`              // the highest version ever
	Body    Digest    `json:"body"`              // of the list as it was made, before denials
	Sources [][]byte  `json:"sources,omitempty"` // the paths from which it was made
	Listed  bool      `json:"listed,omitempty"`  // it also has files that the owner listed one by one
	Key     string    `json:"key,omitempty"`     // the key that signed an imported list
	KeyKind string    `json:"keyKind,omitempty"` // pgp, x509
	Package string    `json:"package,omitempty"` // NEVRA of the package whose header was imported, with its epoch
	Created time.Time `json:"created"`
	Changed Act       `json:"changed"`
	Removed time.Time `json:"removed,omitzero"`
}

// PutOwn records o under its name.
func (b *Batch) PutOwn(o Own) { b.put(BucketOwn, []byte(o.Name), o) }

// DeleteOwn removes the record of an own list whose first version was not published after all.
func (b *Batch) DeleteOwn(name string) { b.Set(BucketOwn, []byte(name), nil) }
