// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// MaxOwnList bounds an own list, MaxUpload one part of its upload, both in bytes.
const (
	MaxOwnList = 256 << 20
	MaxUpload  = 1 << 20
)

// MaxSources is the most source paths that digestd remembers of an own list.
const MaxSources = 1024

// StateRemoved is the state of an own list that was removed. Its versions go on from the last
// one if it comes back.
const StateRemoved = "removed"

// Own is one of the owner's own lists.
type Own struct {
	Name    string      `json:"name"`             // the name that the owner gave it
	List    string      `json:"list"`             // the name of its file
	State   string      `json:"state"`            // active, withheld, removed
	Text    string      `json:"text,omitzero"`    // why it is withheld
	Version uint64      `json:"version"`          // rises with every change
	Highest uint64      `json:"highest"`          // the highest version ever; above version after a granted rollback
	Granted bool        `json:"granted"`          // an older version is active by a grant
	Files   int         `json:"files"`            // entries
	Digest  string      `json:"digest,omitzero"`  // SHA-256 of the list as it was made
	Sources []OwnSource `json:"sources,omitzero"` // the paths from which it was made
	Listed  bool        `json:"listed"`           // it also has files that the owner listed one by one
	Key     string      `json:"key,omitzero"`     // the key that signed an imported list
	Created time.Time   `json:"created,omitzero"` // when it was first made
	Changed time.Time   `json:"changed,omitzero"` // when it last changed
	By      Actor       `json:"by"`               // who changed it
	Reason  string      `json:"reason,omitzero"`  // the reason that was given
}

// OwnSource is a path from which an own list was made.
type OwnSource struct {
	Path    string `json:"path"`             // absolute, below the root; a directory stands for all files below it
	RawPath []byte `json:"rawPath,omitzero"` // the bytes, when they are not UTF-8
}

// OwnResult is the result of making, changing or removing an own list.
type OwnResult struct {
	Name       string        `json:"name"`                // the name that the owner gave it
	List       string        `json:"list"`                // the name of its file
	Version    uint64        `json:"version"`             // the active version, or the one that was removed
	Replaced   uint64        `json:"replaced,omitzero"`   // the version that was active before
	Files      int           `json:"files"`               // entries
	Left       int           `json:"left,omitzero"`       // files left out because they are denied
	Unchanged  bool          `json:"unchanged"`           // there was nothing to change
	Labelled   int           `json:"labelled"`            // files bound to the list, or released from it
	Kept       int           `json:"kept"`                // files that stay bound to the list of their package, which has them
	Unlabelled int           `json:"unlabelled,omitzero"` // files on file systems without labels
	Missing    int           `json:"missing"`             // entries whose files do not exist here
	Duration   time.Duration `json:"durationNs"`          // of the whole
}

// Ordered is a list with its number in the order of reading.
type Ordered struct {
	Sequence uint32 `json:"sequence"`       // stands before its name
	List     string `json:"list"`           // its name without the number
	Active   bool   `json:"active"`         // it is in the directory
	NEVRA    string `json:"nevra,omitzero"` // its package
}

// Order is the order in which the kernel reads lists.
type Order struct {
	Prefetch bool `json:"prefetch"` // the kernel also reads the lists before the one that it needs
	Numbered int  `json:"numbered"` // lists with a number
	Matched  int  `json:"matched"`  // measurements of an active list or, with byFiles, of a file in one
	ByFiles  bool `json:"byFiles"`  // the log named no list, so digestd ordered them by the first use of their files
}
