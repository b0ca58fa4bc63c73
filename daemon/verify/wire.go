// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"github.com/digestd/digestd/daemon/api"
)

// Spec describes what to verify, and against which lists. The pipe carries it as JSON.
type Spec struct {
	Root       string  `json:"root"`
	Lists      string  `json:"lists"`              // the list directory
	Database   string  `json:"database,omitempty"` // of rpm; "" for none
	Entries    []Entry `json:"entries"`            // by name
	Paths      []Path  `json:"paths,omitempty"`    // verify only these and everything below them
	Tree       bool    `json:"tree,omitempty"`     // search the whole tree for executables without a list
	Fix        bool    `json:"fix,omitempty"`
	Unlabelled bool    `json:"unlabelled,omitempty"`
	Idle       bool    `json:"idle,omitempty"`
	After      Cursor  `json:"after,omitzero"` // how far an earlier run came
}

// Path has bytes that JSON text cannot carry.
type Path []byte

// Entry is a list that the daemon knows.
type Entry struct {
	Name    string `json:"name"`
	State   string `json:"state"` // active, withheld
	Package string `json:"package"`
	Text    string `json:"text,omitempty"`   // why it is withheld
	Header  []byte `json:"header,omitempty"` // digest of the package's header
	File    []byte `json:"file,omitempty"`   // digest of the list's file in the directory
	Own     bool   `json:"own,omitempty"`    // it is an own list, without a package
	Old     bool   `json:"old,omitempty"`    // it was replaced and stays for a while: it counts for contents, not for paths
	Wanted  bool   `json:"wanted,omitempty"` // verify its files
}

// Cursor is how far a run came: all lists up to one, then all directories up to one.
type Cursor struct {
	List string `json:"list,omitempty"`
	Dir  Path   `json:"dir,omitempty"`
	Tree bool   `json:"tree,omitempty"` // all lists are finished
}

// Message is a message of a run. Exactly one kind of field is set.
type Message struct {
	Total *Total `json:"total,omitempty"`
	Beat  *Beat  `json:"beat,omitempty"`
	Unit  *Unit  `json:"unit,omitempty"`
	Error string `json:"error,omitempty"` // why the run cannot continue
	Done  bool   `json:"done,omitempty"`
}

// Total is the amount of work.
type Total struct {
	Files int `json:"files"` // files in lists
}

// Beat is the progress of a run, including units that are not reported yet.
type Beat struct {
	Searching bool `json:"searching,omitempty"`
	Files     int  `json:"files"`
	Dirs      int  `json:"dirs"`
}

// Unit is a finished list or directory; all units before it are finished, too.
type Unit struct {
	Cursor   Cursor           `json:"cursor"`
	Package  bool             `json:"package,omitempty"` // it is the list of a package
	Files    int              `json:"files,omitempty"`
	Bytes    uint64           `json:"bytes,omitempty"`
	Absent   int              `json:"absent,omitempty"`
	Unbound  int              `json:"unbound,omitempty"`
	Moved    bool             `json:"moved,omitempty"`
	Findings []api.Finding    `json:"findings,omitempty"`
	Dropped  api.Verification `json:"dropped,omitzero"` // counts of findings that were dropped
}
