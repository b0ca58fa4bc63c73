// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"github.com/digestd/digestd/daemon/api"
)

// Spec says what is vouched for and what of it to verify. It travels as JSON.
type Spec struct {
	Root       string  `json:"root"`
	Lists      string  `json:"lists"`              // the list directory
	Database   string  `json:"database,omitempty"` // of rpm; "" for none
	Entries    []Entry `json:"entries"`            // by name
	Paths      []Path  `json:"paths,omitempty"`    // look at these and what is below them, only
	Tree       bool    `json:"tree,omitempty"`     // look for executables without a list in the whole tree
	Fix        bool    `json:"fix,omitempty"`
	Unlabelled bool    `json:"unlabelled,omitempty"`
	Idle       bool    `json:"idle,omitempty"`
	After      Cursor  `json:"after,omitzero"` // that far an earlier run came
}

// Path is bytes, which JSON text cannot carry.
type Path []byte

// Entry is a list that the daemon knows.
type Entry struct {
	Name    string `json:"name"`
	State   string `json:"state"` // active, withheld
	Package string `json:"package"`
	Text    string `json:"text,omitempty"`   // why it is withheld
	Header  []byte `json:"header,omitempty"` // digest of the package's header
	File    []byte `json:"file,omitempty"`   // digest of the list's file
	Own     bool   `json:"own,omitempty"`    // it is the owner's, and no package
	Old     bool   `json:"old,omitempty"`    // it was replaced and stays a while: for content, not for paths
	Wanted  bool   `json:"wanted,omitempty"` // verify its files
}

// Cursor is how far a run came: all lists up to one, then all directories up to
// one.
type Cursor struct {
	List string `json:"list,omitempty"`
	Dir  Path   `json:"dir,omitempty"`
	Tree bool   `json:"tree,omitempty"` // all lists are done
}

// Message is what a run tells. One kind of field is set.
type Message struct {
	Total *Total `json:"total,omitempty"`
	Beat  *Beat  `json:"beat,omitempty"`
	Unit  *Unit  `json:"unit,omitempty"`
	Error string `json:"error,omitempty"` // it cannot go on
	Done  bool   `json:"done,omitempty"`
}

// Total is how much there is to do.
type Total struct {
	Files int `json:"files"` // of lists
}

// Beat is how far the run is, of what is not yet reported as well.
type Beat struct {
	Searching bool `json:"searching,omitempty"`
	Files     int  `json:"files"`
	Dirs      int  `json:"dirs"`
}

// Unit is a list or directory that is done, and all before it.
type Unit struct {
	Cursor   Cursor           `json:"cursor"`
	Package  bool             `json:"package,omitempty"` // it is a package's list
	Files    int              `json:"files,omitempty"`
	Bytes    uint64           `json:"bytes,omitempty"`
	Absent   int              `json:"absent,omitempty"`
	Unbound  int              `json:"unbound,omitempty"`
	Moved    bool             `json:"moved,omitempty"`
	Findings []api.Finding    `json:"findings,omitempty"`
	Dropped  api.Verification `json:"dropped,omitzero"` // counts of findings that are not among them
}
