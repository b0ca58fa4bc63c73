// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// The form of an exported document of denials.
const (
	DenialFormat  = "digestd-denials"
	DenialVersion = 1
)

// MaxDenials is how many denials a machine has at most, and a document.
const MaxDenials = 10_000

// MaxDenialDocument bounds a document of denials, in bytes.
const MaxDenialDocument = 8 << 20

// Denial is a word against one content, or against versions of a package.
type Denial struct {
	ID      string    `json:"id"`               // names it, to lift it by
	What    string    `json:"what"`             // the digest, or the package with its versions
	Digests []string  `json:"digests,omitzero"` // of one content, "algorithm:hexadecimal digits"
	Path    string    `json:"path,omitzero"`    // where that content was found
	Package string    `json:"package,omitzero"` // a name
	Arch    string    `json:"arch,omitzero"`    // absent for every architecture
	Below   string    `json:"below,omitzero"`   // all versions below this one
	Exact   string    `json:"exact,omitzero"`   // this version only
	Reason  string    `json:"reason,omitzero"`  // as it was given
	Ticket  string    `json:"ticket,omitzero"`  // as it was given, for example a CVE
	By      string    `json:"by"`               // who said so, for people
	UID     uint32    `json:"uid"`              // of the administrator who did
	Since   time.Time `json:"since,omitzero"`   // when it was said
	Expires time.Time `json:"expires,omitzero"` // absent for never
	Foreign bool      `json:"foreign,omitzero"` // not said here, so not lifted here
	Lists   int       `json:"lists"`            // that are withheld by it, or leave out its content
	Anchor  string    `json:"anchor,omitzero"`  // of an answer to a denial: anchored, or pending, where there is an anchor
}

// The effects of an import on a [Denial].
const (
	DenialAdded   = "added"
	DenialMerged  = "merged"  // with one about the same
	DenialSame    = "same"    // it is there
	DenialExpired = "expired" // it ended already, and is skipped
)

// DenialChange is what an import does about one denial.
type DenialChange struct {
	Action   string   `json:"action"`            // added, merged, same, expired
	Denial   Denial   `json:"denial"`            // as it will be
	Packages []string `json:"packages,omitzero"` // whose lists it withholds or changes
}

// DenialImport is what an import did, or would do.
type DenialImport struct {
	DryRun  bool           `json:"dryRun"`          // nothing was changed
	Added   int            `json:"added"`           // denials
	Merged  int            `json:"merged"`          // with those about the same
	Same    int            `json:"same"`            // were there
	Expired int            `json:"expired"`         // skipped
	Lists   int            `json:"lists"`           // that had to leave the directory or to change
	Changes []DenialChange `json:"changes"`         // the first 1000
	Anchor  string         `json:"anchor,omitzero"` // anchored, or pending, where there is an anchor
}

// DenialDocument is what denials are exported as, and imported from.
type DenialDocument struct {
	Format  string         `json:"format"`  // digestd-denials
	Version int            `json:"version"` // 1
	Denials []DenialRecord `json:"denials"`
}

// DenialRecord is one denial of a document: digests, or a package.
type DenialRecord struct {
	Digests []string  `json:"digests,omitzero"` // as in Denial
	Path    string    `json:"path,omitzero"`    // as in Denial
	Package string    `json:"package,omitzero"` // as in Denial
	Arch    string    `json:"arch,omitzero"`    // as in Denial
	Below   string    `json:"below,omitzero"`   // as in Denial
	Exact   string    `json:"exact,omitzero"`   // as in Denial
	Reason  string    `json:"reason"`           // must be given
	Ticket  string    `json:"ticket,omitzero"`  // as in Denial
	Since   time.Time `json:"since,omitzero"`   // as in Denial
	Expires time.Time `json:"expires,omitzero"` // as in Denial
}
