// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// MaxOwnList bounds an own list, in bytes; MaxUpload one piece of what is sent of
// it.
const (
	MaxOwnList = 256 << 20
	MaxUpload  = 1 << 20
)

// MaxSources is how many paths are remembered of which an own list is made.
const MaxSources = 1024

// StateRemoved is the state of an own list that was removed; its numbers go on.
const StateRemoved = "removed"

// Own is one of the owner's own lists.
type Own struct {
	Name    string      `json:"name"`             // as the owner calls it
	List    string      `json:"list"`             // its file's name
	State   string      `json:"state"`            // active, withheld, removed
	Text    string      `json:"text,omitzero"`    // why it is withheld
	Version uint64      `json:"version"`          // its own counter: every change has a higher one
	Highest uint64      `json:"highest"`          // the highest version ever; above version after a grant
	Granted bool        `json:"granted"`          // an older version, by a grant
	Files   int         `json:"files"`            // entries
	Digest  string      `json:"digest,omitzero"`  // SHA-256 of the list as it was made
	Sources []OwnSource `json:"sources,omitzero"` // the paths it is made of
	Listed  bool        `json:"listed"`           // and the very files it has
	Key     string      `json:"key,omitzero"`     // of an imported list, who signed it
	Created time.Time   `json:"created,omitzero"` // when its name came up
	Changed time.Time   `json:"changed,omitzero"` // the last time
	By      Actor       `json:"by"`               // who changed it
	Reason  string      `json:"reason,omitzero"`  // as it was given
}

// OwnSource is a path that an own list is made of.
type OwnSource struct {
	Path    string `json:"path"`             // absolute, below the root; of a tree all its files
	RawPath []byte `json:"rawPath,omitzero"` // the bytes, when they are not UTF-8
}

// OwnResult is what became of an own list that was made, changed or removed.
type OwnResult struct {
	Name       string        `json:"name"`                // as the owner calls it
	List       string        `json:"list"`                // its file's name
	Version    uint64        `json:"version"`             // that is active now, or was removed
	Replaced   uint64        `json:"replaced,omitzero"`   // version that was active before
	Files      int           `json:"files"`               // entries
	Left       int           `json:"left,omitzero"`       // files that it leaves out, for they are denied
	Unchanged  bool          `json:"unchanged"`           // it was so already
	Labelled   int           `json:"labelled"`            // files bound to the list, or freed from it
	Kept       int           `json:"kept"`                // files left to the list of their package, which has them
	Unlabelled int           `json:"unlabelled,omitzero"` // files that cannot be bound to a list where they lie
	Missing    int           `json:"missing"`             // entries without a file here
	Duration   time.Duration `json:"durationNs"`          // of the whole
}

// Ordered is a list with the number that it is read by.
type Ordered struct {
	Sequence uint32 `json:"sequence"`       // before its name
	List     string `json:"list"`           // its name without the number
	Active   bool   `json:"active"`         // it is in the directory
	NEVRA    string `json:"nevra,omitzero"` // its package
}

// Order is the order in which the kernel reads lists.
type Order struct {
	Prefetch bool `json:"prefetch"` // the kernel reads the lists before the one it looks for
	Numbered int  `json:"numbered"` // lists with a number
	Matched  int  `json:"matched"`  // of the log's entries, those about a list
	ByFiles  bool `json:"byFiles"`  // the log named no list, so the first use of their files counted
}
