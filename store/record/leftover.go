// SPDX-License-Identifier: Apache-2.0

package record

import (
	"time"
)

// Leftover is the record of a file that must leave the list directory and could not be removed.
type Leftover struct {
	Name  string    `json:"-"`
	Why   string    `json:"why"` // why it could not be removed
	Since time.Time `json:"since"`
}

// MetaLeftover begins the keys of leftovers among the small named values; the name
// of the list follows.
const MetaLeftover = "leftover/"

// PutLeftover records a file that must still be removed.
func (b *Batch) PutLeftover(l Leftover) { b.put(BucketMeta, []byte(MetaLeftover+l.Name), l) }

// DeleteLeftover removes the record of a file that is gone.
func (b *Batch) DeleteLeftover(name string) { b.SetMeta(MetaLeftover+name, nil) }
