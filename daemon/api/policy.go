// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// The states of a policy.
const (
	PolicyInForce = "in-force" // what its file says holds
	PolicyLapsed  = "lapsed"   // its file does not count any more: floors, denials and revocations of it stay
	PolicyIgnored = "ignored"  // there is a file, and nothing of it holds
)

// Policy is a policy file, or what stayed of one.
type Policy struct {
	Name        string       `json:"name"`                 // of the file, without its suffix
	State       string       `json:"state"`                // in-force, lapsed, ignored
	Path        string       `json:"path"`                 // of the file, below the root
	Package     string       `json:"package,omitzero"`     // that brought it, a NEVRA; absent for the administrator's own
	Key         string       `json:"key,omitzero"`         // fingerprint of the key that signed the package
	Digest      string       `json:"digest,omitzero"`      // SHA-256 of what is in force
	Since       time.Time    `json:"since,omitzero"`       // that holds
	Effect      string       `json:"effect,omitzero"`      // what it did when it came, for people
	Gone        time.Time    `json:"gone,omitzero"`        // since when the file does not count
	Why         string       `json:"why,omitzero"`         // it does not, or a later file is refused
	Description string       `json:"description,omitzero"` // as the file gives it
	Rules       []PolicyRule `json:"rules,omitzero"`       // what holds; only of a policy that is asked for by name
}

// PolicyCounts are numbers of policy files.
type PolicyCounts struct {
	InForce  int `json:"inForce"`  // their rules apply
	Lapsed   int `json:"lapsed"`   // they are gone, and what they tightened applies
	Refused  int `json:"refused"`  // digestd ignores them, or a later version of them
	Packaged int `json:"packaged"` // of those in force, the ones that a package brought
}

// Metadata is what is on this disk of a package repository.
type Metadata struct {
	Repository string    `json:"repository"` // its name
	Made       time.Time `json:"made"`       // when the repository was published
}

// PolicyRule is one thing that a policy says.
type PolicyRule struct {
	Kind     string `json:"kind"`            // floor, denial, revocation, certificate, exemption, protected
	What     string `json:"what"`            // what it is about
	Says     string `json:"says,omitzero"`   // what it says of that
	Reason   string `json:"reason,omitzero"` // as the file gives it
	Tightens bool   `json:"tightens"`        // it stays when the file goes
}
