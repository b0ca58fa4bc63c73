// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// AdvisoryStatus is what digestd knows of advisories.
type AdvisoryStatus struct {
	Mode     string           `json:"mode"`     // off, report, keep-out, withdraw
	Packages int              `json:"packages"` // installed, of which an advisory fixes a flaw
	Severity []SeverityCount  `json:"severity"` // these by severity, the worst first
	Due      int              `json:"due"`      // of these, whose lists are to be withdrawn
	Gone     int              `json:"gone"`     // of these, whose lists were
	Mend     string           `json:"mend"`     // the command that fixes them
	Origins  []AdvisoryOrigin `json:"origins"`  // whose advisories digestd applies, by name
}

// SeverityCount is a number of packages.
type SeverityCount struct {
	Severity string `json:"severity"` // Critical, Important, Moderate, Low, "" for none
	Packages int    `json:"packages"`
}

// AdvisoryOrigin is a repository whose advisories digestd applies.
type AdvisoryOrigin struct {
	Repository string    `json:"repository"`      // its ID
	Strength   string    `json:"strength"`        // why its advisories count: signed by KEY, or unsigned, from a package manager's cache
	Keys       []string  `json:"keys"`            // that sign its packages: it binds these alone
	Made       time.Time `json:"made,omitzero"`   // its metadata
	Read       time.Time `json:"read,omitzero"`   // when that was read
	Security   int       `json:"security"`        // advisories about security in it
	Floors     int       `json:"floors"`          // packages that it says something about
	Beyond     int       `json:"beyond"`          // packages whose version is above what the repository offers: ignored
	Epochs     []string  `json:"epochs,omitzero"` // packages of which it asks for an epoch that nothing here has: ignored
}

// Advised is an installed package of which an advisory fixes a flaw.
type Advised struct {
	Package    string    `json:"package"`    // NEVRA
	List       string    `json:"list"`       // its list
	State      string    `json:"state"`      // of the list
	Mended     string    `json:"mended"`     // the version that fixes it
	Advisory   string    `json:"advisory"`   // its ID
	Severity   string    `json:"severity"`   // Critical, Important, Moderate, Low, or ""
	CVEs       []string  `json:"cves"`       // the first of them
	Repository string    `json:"repository"` // whose advisory it is
	Strength   string    `json:"strength"`   // why its word counts
	Since      time.Time `json:"since,omitzero"`
	Due        time.Time `json:"due,omitzero"` // when its list is to be withdrawn
}

// AdvisedVersion is the word of a repository about a package.
type AdvisedVersion struct {
	Package    string   `json:"package"` // name.arch
	Stream     string   `json:"stream,omitzero"`
	EVR        string   `json:"evr"` // nothing below may come
	Advisory   string   `json:"advisory"`
	Severity   string   `json:"severity"`
	CVEs       []string `json:"cves"`
	Repository string   `json:"repository"`
	Strength   string   `json:"strength"`
	Effect     string   `json:"effect"` // what follows, for people
}

// AdvisoryWhy is what advisories say of a package, and what follows.
type AdvisoryWhy struct {
	Package   string           `json:"package"`        // as it was asked for
	Versions  []AdvisedVersion `json:"versions"`       // of every origin
	Installed []Advised        `json:"installed"`      // that are below
	Stays     []string         `json:"stays,omitzero"` // why lists of it are not withdrawn, for people
	Mend      string           `json:"mend,omitzero"`  // the command
}
