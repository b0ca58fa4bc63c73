// SPDX-License-Identifier: Apache-2.0

package record

import (
	"strings"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
)

// OriginAdvisory is how the name of an origin begins that is a repository's advisories.
const OriginAdvisory = "advisory:"

// Origin is the record of the advisories of a repository, which say of versions that they
// must not come.
type Origin struct {
	Name     string    `json:"-"`                  // "advisory:REPO"
	Strength string    `json:"strength"`           // why its word counts, for people
	Keys     []string  `json:"keys,omitempty"`     // fingerprints of the keys that sign its packages: its floors bind these alone
	Stamp    string    `json:"stamp,omitempty"`    // of what was read last; another stamp: read it again
	Made     time.Time `json:"made,omitzero"`      // what was read last
	Read     time.Time `json:"read,omitzero"`      // when that was
	Security int       `json:"security,omitempty"` // advisories about security in it
	Beyond   int       `json:"beyond,omitempty"`   // packages whose version is above what the repository offers
	Epochs   []string  `json:"epochs,omitempty"`   // packages of which it asks for an epoch that nothing here has: the first of them
}

// AdvisedFloor is the record of a floor that an origin asks for. An origin has one for each
// package name, architecture and module stream.
type AdvisedFloor struct {
	Origin   string    `json:"-"`
	Name     string    `json:"-"`                // of the package
	Arch     string    `json:"arch,omitempty"`   // "": every architecture
	Stream   string    `json:"stream,omitempty"` // of the module, "name:stream"; "" for packages of none
	EVR      nevra.EVR `json:"evr"`              // nothing below may come
	Why      string    `json:"why,omitempty"`    // for example the ID of the advisory
	Severity string    `json:"severity,omitempty"`
	CVEs     []string  `json:"cves,omitempty"` // the first of them
	Since    time.Time `json:"since"`
}

// PutOrigin records o under its name.
func (b *Batch) PutOrigin(o Origin) { b.put(BucketOrigins, []byte(o.Name), o) }

// DeleteOrigin forgets an origin. Its floors are deleted one by one.
func (b *Batch) DeleteOrigin(name string) { b.Set(BucketOrigins, []byte(name), nil) }

// PutAdvised records the floors of one package that one origin asks for; none deletes them.
func (b *Batch) PutAdvised(origin, name string, floors []AdvisedFloor) {
	key := []byte(origin + "\x00" + name)
	if len(floors) == 0 {
		b.Set(BucketAdvised, key, nil)
		return
	}
	b.put(BucketAdvised, key, floors)
}

// SplitAdvisedKey returns the origin and the package of which a record has the floors.
func SplitAdvisedKey(key []byte) (origin, name string) {
	origin, name, _ = strings.Cut(string(key), "\x00")
	return origin, name
}
