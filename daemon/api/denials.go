// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// Format and version of an exported document of denials.
const (
	DenialFormat  = "digestd-denials"
	DenialVersion = 1
)

// MaxDenials is the most denials that a machine, or a document, may have.
const MaxDenials = 10_000

// MaxDenialDocument bounds a document of denials, in bytes.
const MaxDenialDocument = 8 << 20

// Denial keeps one content, or versions of one package, out of all lists.
type Denial struct {
	ID      string    `json:"id"`               // names the denial in a command that lifts it
	What    string    `json:"what"`             // the digest, or the package with its versions
	Digests []string  `json:"digests,omitzero"` // of one content, "algorithm:hexadecimal digits"
	Path    string    `json:"path,omitzero"`    // where the content was found
	Package string    `json:"package,omitzero"` // a name
	Arch    string    `json:"arch,omitzero"`    // absent for every architecture
	Below   string    `json:"below,omitzero"`   // all versions below this one
	Exact   string    `json:"exact,omitzero"`   // this version only
	Reason  string    `json:"reason,omitzero"`  // the reason that was given
	Ticket  string    `json:"ticket,omitzero"`  // the reference that was given, for example a CVE
	By      string    `json:"by"`               // who denied it, for people
	UID     uint32    `json:"uid"`              // of the administrator who denied it
	Since   time.Time `json:"since,omitzero"`   // when it was denied
	Expires time.Time `json:"expires,omitzero"` // absent if it does not expire
	Foreign bool      `json:"foreign,omitzero"` // made elsewhere, so it cannot be lifted here
	Lists   int       `json:"lists"`            // lists that it withholds, or that leave its content out
	Anchor  string    `json:"anchor,omitzero"`  // in an answer to a denial: anchored or pending, if there is an anchor
}

// The effects of an import on a [Denial].
const (
	DenialAdded   = "added"
	DenialMerged  = "merged"  // with a denial of the same subject
	DenialSame    = "same"    // it exists already
	DenialExpired = "expired" // it has expired, and is skipped
)

// DenialChange is the effect of an import on one denial.
type DenialChange struct {
	Action   string   `json:"action"`            // added, merged, same, expired
	Denial   Denial   `json:"denial"`            // as it is after the import
	Packages []string `json:"packages,omitzero"` // packages whose lists it withholds or changes
}

// DenialImport is the result of an import, or of a dry run of one.
type DenialImport struct {
	DryRun  bool           `json:"dryRun"`          // nothing was changed
	Added   int            `json:"added"`           // new denials
	Merged  int            `json:"merged"`          // denials merged with existing ones of the same subject
	Same    int            `json:"same"`            // denials that exist already
	Expired int            `json:"expired"`         // expired denials, which are skipped
	Lists   int            `json:"lists"`           // lists that were removed or changed
	Changes []DenialChange `json:"changes"`         // the first 1000
	Anchor  string         `json:"anchor,omitzero"` // anchored or pending, if there is an anchor
}

// DenialDocument is the form in which denials are exported and imported.
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
	Reason  string    `json:"reason"`           // required
	Ticket  string    `json:"ticket,omitzero"`  // as in Denial
	Since   time.Time `json:"since,omitzero"`   // as in Denial
	Expires time.Time `json:"expires,omitzero"` // as in Denial
}
