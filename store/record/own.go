// SPDX-License-Identifier: Apache-2.0

package record

import (
	"time"
)

// Change is what is being done to the file of a list. It is recorded before it is
// done, so that a start after a crash completes it.
type Change string

// The changes of a list's file.
const (
	Publishing Change = "publish" // an older content may still be there
	Removing   Change = "remove"
	Moving     Change = "move" // it stays until no file is bound to it any more
)

// Own is the record of one of the owner's own lists. It stays when the list is
// removed: its numbers go on.
type Own struct {
	Name    string    `json:"-"`
	List    string    `json:"list"`              // the name of its file
	Version uint64    `json:"version"`           // that is active, or was last
	Last    uint64    `json:"last"`              // the highest ever given out
	Body    Digest    `json:"body"`              // of the list as it was made, before denials
	Sources [][]byte  `json:"sources,omitempty"` // the paths it is made of
	Listed  bool      `json:"listed,omitempty"`  // and the very files it has
	Key     string    `json:"key,omitempty"`     // that signed it elsewhere
	KeyKind string    `json:"keyKind,omitempty"` // pgp, x509
	Package string    `json:"package,omitempty"` // whose header was imported, its NEVRA in full
	Created time.Time `json:"created"`
	Changed Act       `json:"changed"`
	Removed time.Time `json:"removed,omitzero"`
}

// PutOwn records o under its name.
func (b *Batch) PutOwn(o Own) { b.put(BucketOwn, []byte(o.Name), o) }

// DeleteOwn forgets the own list of that name: its first version did not come to be.
func (b *Batch) DeleteOwn(name string) { b.Set(BucketOwn, []byte(name), nil) }
