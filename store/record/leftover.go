// SPDX-License-Identifier: Apache-2.0

package record

import (
	"time"
)

// Leftover is the record of a file in the list directory that must not be there and
// could not be removed.
type Leftover struct {
	Name  string    `json:"-"`
	Why   string    `json:"why"` // it is still there
	Since time.Time `json:"since"`
}

// MetaLeftover begins the keys of leftovers among the small named values; the name
// of the list follows.
const MetaLeftover = "leftover/"

// PutLeftover remembers a file that must still go.
func (b *Batch) PutLeftover(l Leftover) { b.put(BucketMeta, []byte(MetaLeftover+l.Name), l) }

// DeleteLeftover forgets one that is gone.
func (b *Batch) DeleteLeftover(name string) { b.SetMeta(MetaLeftover+name, nil) }
