// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// The states of a [Policy].
const (
	PolicyInForce = "in-force" // the rules of its file apply
	PolicyLapsed  = "lapsed"   // its file does not count any more: its floors, denials and revocations stay
	PolicyIgnored = "ignored"  // there is a file, and none of its rules apply
)

// Policy is a policy file, or the rules that stayed when its file went.
type Policy struct {
	Name        string       `json:"name"`                 // name of the file, without its suffix
	State       string       `json:"state"`                // in-force, lapsed, ignored
	Path        string       `json:"path"`                 // path of the file, below the root
	Package     string       `json:"package,omitzero"`     // NEVRA of the package that contains it; absent for a file of the administrator
	Key         string       `json:"key,omitzero"`         // fingerprint of the key that signed the package
	Digest      string       `json:"digest,omitzero"`      // SHA-256 of the version in force
	Since       time.Time    `json:"since,omitzero"`       // when that version came into force
	Effect      string       `json:"effect,omitzero"`      // what changed when it came into force, for people
	Gone        time.Time    `json:"gone,omitzero"`        // when the file ceased to count
	Why         string       `json:"why,omitzero"`         // why it ceased to count, or why a later version is refused
	Description string       `json:"description,omitzero"` // as the file gives it
	Rules       []PolicyRule `json:"rules,omitzero"`       // its rules; only in the answer about one policy by name
}

// PolicyCounts are numbers of policy files.
type PolicyCounts struct {
	InForce  int `json:"inForce"`  // their rules apply
	Lapsed   int `json:"lapsed"`   // they are gone, and the rules that tighten still apply
	Refused  int `json:"refused"`  // digestd ignores them, or a later version of them
	Packaged int `json:"packaged"` // of those in force, the ones that packages contain
}

// Metadata describes the metadata of a package repository on this disk.
type Metadata struct {
	Repository string    `json:"repository"` // its name
	Made       time.Time `json:"made"`       // when the repository was published
}

// PolicyRule is one rule of a policy file.
type PolicyRule struct {
	Kind     string `json:"kind"`            // floor, denial, revocation, certificate, exemption, protected
	What     string `json:"what"`            // its subject
	Says     string `json:"says,omitzero"`   // what it requires
	Reason   string `json:"reason,omitzero"` // as the file gives it
	Tightens bool   `json:"tightens"`        // it stays when the file goes
}
