// SPDX-License-Identifier: Apache-2.0

package record

import (
	"strings"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
)

// OriginAdvisory begins the names of origins that are the advisories of a repository.
const OriginAdvisory = "advisory:"

// Origin is the record of a repository whose advisories name versions that must not be active.
type Origin struct {
	Name     string    `json:"-"`                  // "advisory:REPO"
	Strength string    `json:"strength"`           // why its advisories count, for people
	Keys     []string  `json:"keys,omitempty"`     // fingerprints of the keys that sign its packages: its floors bind these packages only
	Stamp    string    `json:"stamp,omitempty"`    // identifies the metadata that was read last; if it differs, read again
	Made     time.Time `json:"made,omitzero"`      // when that metadata was made
	Read     time.Time `json:"read,omitzero"`      // when it was read
	Security int       `json:"security,omitempty"` // security advisories in it
	Beyond   int       `json:"beyond,omitempty"`   // packages that need a version which the repository does not offer
	Epochs   []string  `json:"epochs,omitempty"`   // packages that need an epoch which no known version here has: the first of them
}

// AdvisedFloor is the record of a floor that an advisory requires. An origin has at most one for
// each package name, architecture and module stream.
type AdvisedFloor struct {
	Origin   string    `json:"-"`
	Name     string    `json:"-"`                // of the package
	Arch     string    `json:"arch,omitempty"`   // "": every architecture
	Stream   string    `json:"stream,omitempty"` // of the module, "name:stream"; "" for packages of none
	EVR      nevra.EVR `json:"evr"`              // no lower version may come
	Why      string    `json:"why,omitempty"`    // for example the ID of the advisory
	Severity string    `json:"severity,omitempty"`
	CVEs     []string  `json:"cves,omitempty"` // the first CVEs of the advisory
	Since    time.Time `json:"since"`
}

// PutOrigin records o under its name.
func (b *Batch) PutOrigin(o Origin) { b.put(BucketOrigins, []byte(o.Name), o) }

// DeleteOrigin removes an origin. Its floors are deleted one by one.
func (b *Batch) DeleteOrigin(name string) { b.Set(BucketOrigins, []byte(name), nil) }

// PutAdvised records the floors that one origin requires for one package; no floors delete the
// record.
func (b *Batch) PutAdvised(origin, name string, floors []AdvisedFloor) {
	key := []byte(origin + "\x00" + name)
	if len(floors) == 0 {
		b.Set(BucketAdvised, key, nil)
		return
	}
	b.put(BucketAdvised, key, floors)
}

// SplitAdvisedKey returns the origin and the package of a record's key.
func SplitAdvisedKey(key []byte) (origin, name string) {
	origin, name, _ = strings.Cut(string(key), "\x00")
	return origin, name
}
