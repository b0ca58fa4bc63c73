// SPDX-License-Identifier: Apache-2.0

package record

import (
	"time"
)

// Denial is the record of a denial: of one content by its digests, or of versions of a package.
type Denial struct {
	ID      string   `json:"-"`
	Digests []string `json:"digests,omitempty"` // of one content, "algorithm:hexadecimal digits"
	Path    string   `json:"path,omitempty"`    // where the content was found, for people
	Package string   `json:"package,omitempty"` // a name
	Arch    string   `json:"arch,omitempty"`    // "" for all
	Below   string   `json:"below,omitempty"`   // [epoch:]version[-release]
	Exact   string   `json:"exact,omitempty"`   // epoch:version-release
	Ticket  string   `json:"ticket,omitempty"`

	Expires time.Time `json:"expires,omitzero"` // zero: never
	Act
}

// PutDenial records d under its ID.
func (b *Batch) PutDenial(d Denial) { b.put(BucketDenied, []byte(d.ID), d) }

// DeleteDenial removes the denial with that ID.
func (b *Batch) DeleteDenial(id string) { b.Set(BucketDenied, []byte(id), nil) }
