// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// AdvisoryStatus is the state of security advisories on this machine.
type AdvisoryStatus struct {
	Mode     string           `json:"mode"`     // off, report, keep-out, withdraw
	Packages int              `json:"packages"` // installed packages with a flaw that an advisory fixes
	Severity []SeverityCount  `json:"severity"` // these by severity, the worst first
	Due      int              `json:"due"`      // of these, packages whose lists digestd will withdraw
	Gone     int              `json:"gone"`     // of these, packages whose lists digestd withdrew
	Mend     string           `json:"mend"`     // the command that fixes them
	Origins  []AdvisoryOrigin `json:"origins"`  // the repositories whose advisories digestd applies, by name
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
	Keys       []string  `json:"keys"`            // fingerprints of the keys that sign its packages: its advisories bind these packages only
	Made       time.Time `json:"made,omitzero"`   // when its metadata was made
	Read       time.Time `json:"read,omitzero"`   // when digestd read the metadata
	Security   int       `json:"security"`        // security advisories in it
	Floors     int       `json:"floors"`          // packages that its advisories name
	Beyond     int       `json:"beyond"`          // packages that need a version which the repository does not offer: ignored
	Epochs     []string  `json:"epochs,omitzero"` // packages that need an epoch which no known version here has: ignored
}

// Advised is an installed package with a flaw that an advisory fixes.
type Advised struct {
	Package    string    `json:"package"`    // NEVRA
	List       string    `json:"list"`       // its list
	State      string    `json:"state"`      // of the list
	Mended     string    `json:"mended"`     // the version that fixes it
	Advisory   string    `json:"advisory"`   // its ID
	Severity   string    `json:"severity"`   // Critical, Important, Moderate, Low, or ""
	CVEs       []string  `json:"cves"`       // the first CVEs of the advisory
	Repository string    `json:"repository"` // the repository of the advisory
	Strength   string    `json:"strength"`   // why the advisory counts
	Since      time.Time `json:"since,omitzero"`
	Due        time.Time `json:"due,omitzero"` // when digestd will withdraw its list
}

// AdvisedVersion is the version of a package that the advisories of a repository require.
type AdvisedVersion struct {
	Package    string   `json:"package"` // name.arch
	Stream     string   `json:"stream,omitzero"`
	EVR        string   `json:"evr"` // no lower version may come
	Advisory   string   `json:"advisory"`
	Severity   string   `json:"severity"`
	CVEs       []string `json:"cves"`
	Repository string   `json:"repository"`
	Strength   string   `json:"strength"`
	Effect     string   `json:"effect"` // what digestd does about lower versions, for people
}

// AdvisoryWhy explains what advisories require of a package, and what follows.
type AdvisoryWhy struct {
	Package   string           `json:"package"`        // the package in the question
	Versions  []AdvisedVersion `json:"versions"`       // the version that each repository requires
	Installed []Advised        `json:"installed"`      // installed packages below these versions
	Stays     []string         `json:"stays,omitzero"` // why digestd keeps lists of it, for people
	Mend      string           `json:"mend,omitzero"`  // the command that fixes it
}
