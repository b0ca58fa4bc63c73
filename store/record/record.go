// SPDX-License-Identifier: Apache-2.0

package record

import (
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
)

// State is the state of a list.
type State string

// The states of a list.
const (
	Active      State = "active"      // in the list directory
	Withheld    State = "withheld"    // its package is installed, and a decision forbids the list
	Empty       State = "empty"       // its package is installed and has no file to vouch for
	Quarantined State = "quarantined" // set aside: digestd did not put it there, or another program changed it
	Retired     State = "retired"     // its package was replaced or removed
)

// List is the record of one list, stored under the list's file name.
type List struct {
	Name    string      `json:"-"`
	State   State       `json:"state"`
	Package nevra.NEVRA `json:"package,omitzero"` // of an own list, only in memory
	Header  Digest      `json:"header"`           // of the magic and the immutable region: rpm's SHA256HEADER
	Body    Digest      `json:"body,omitzero"`    // of the list without its appended signature
	File    Digest      `json:"file,omitzero"`    // of the file in the directory
	Key     string      `json:"key,omitempty"`    // fingerprint of the certificate that vouches, "" for an unsigned package
	Signer  string      `json:"signer,omitempty"` // subject key id of the certificate that signed the list
	Files   int         `json:"files,omitempty"`
	Largest uint64      `json:"largest,omitempty"` // size in bytes of the largest of them; 0: not known
	Counter uint64      `json:"counter,omitempty"` // the activation with which this list came
	Since   time.Time   `json:"since"`
	Reason  string      `json:"reason,omitempty"` // a policy.Reason
	Text    string      `json:"text,omitempty"`   // the reason, for people
	Granted bool        `json:"granted,omitempty"`
	Void    bool        `json:"void,omitempty"`  // a floor was set above it after it was granted
	Grace   string      `json:"grace,omitempty"` // ID of the boot until whose end a replaced list may stay

	Denied []string `json:"denied,omitempty"` // IDs of the denials that withhold it, or whose content it leaves out
	Left   int      `json:"left,omitempty"`   // files that it leaves out

	Own     string `json:"own,omitempty"`     // name of the own list that it is, "" for a package's
	Version uint64 `json:"version,omitempty"` // version of an own list
	Change  Change `json:"change,omitempty"`
	Next    string `json:"next,omitempty"` // the name to which it is moving

	Moved header.Relocations `json:"moved,omitempty"` // where rpm installed the files, if not where the package has them
	Wide  string             `json:"wide,omitempty"`  // digest of the body by the signer's algorithm, hexadecimal, if that is not SHA-256

	Signature *Signature `json:"signature,omitempty"` // the signature that vouches for it; nil for an unsigned package, and before schema 2
	Rules     string     `json:"rules,omitempty"`     // by which it was verified; "" before schema 2: it must be verified again
	From      time.Time  `json:"from,omitzero"`       // when the signature that is not valid yet becomes valid

	Module string    `json:"module,omitempty"` // the module stream that the package says it is of, "name:stream"
	Below  time.Time `json:"below,omitzero"`   // when digestd learned that an advisory requires a higher version
	Due    time.Time `json:"due,omitzero"`     // when its list will be withdrawn for that, as announced
}

// Signature has the facts about a verified signature that are needed to decide later whether it
// still vouches.
type Signature struct {
	Key  string    `json:"key"` // fingerprint of the key or subkey that made it, in lower case
	Made time.Time `json:"made"`
	Ends time.Time `json:"ends,omitzero"` // zero: never
}

// Line is the record of all versions of one package name on one architecture.
type Line struct {
	Name    string    `json:"-"`
	Arch    string    `json:"-"`
	High    nevra.EVR `json:"high,omitzero"`
	Retired nevra.EVR `json:"retired,omitzero"`
	Counter uint64    `json:"counter,omitempty"`
	Multi   bool      `json:"multi,omitempty"`
	Floor   nevra.EVR `json:"floor,omitzero"`
	FloorBy *Act      `json:"floorBy,omitempty"`
	Grants  []Grant   `json:"grants,omitempty"`
	Voided  Void      `json:"voided,omitzero"`
}

// Void ends grants: of versions that were active below a version, up to a counter.
type Void struct {
	EVR     nevra.EVR `json:"evr"`
	Counter uint64    `json:"counter"`
}

// Ends reports whether the grant for a version with that counter is void. A list that was
// withheld while the floor was set has no note of that. A version without a counter was not
// active yet.
func (v Void) Ends(evr nevra.EVR, counter uint64) bool {
	return 0 < counter && counter <= v.Counter && nevra.Compare(evr, v.EVR) < 0
}

// Grant permits one version below the line's high, once.
type Grant struct {
	EVR nevra.EVR `json:"evr"`
	Act
}

// Act names the actor of a deliberate act, its time and its reason.
type Act struct {
	UID    uint32    `json:"uid"`
	PID    uint32    `json:"pid,omitempty"`
	Reason string    `json:"reason,omitempty"`
	When   time.Time `json:"when"`
}

// Retirement is the record of the body of a list that must not come back.
type Retirement struct {
	Body    Digest      `json:"-"`
	List    string      `json:"list"`
	Package nevra.NEVRA `json:"package,omitzero"` // of an own list, only in memory
	Own     string      `json:"own,omitempty"`
	Version uint64      `json:"version,omitempty"`
	Wide    string      `json:"wide,omitempty"` // as of a List
	When    time.Time   `json:"when"`
	Reason  string      `json:"reason"`
}

// Key is the record of a certificate that vouches or once vouched. It outlives the certificate,
// so that a revocation does, too.
type Key struct {
	Fingerprint string    `json:"-"`
	Use         string    `json:"use,omitempty"`     // "" vouches for packages, "lists" signs lists
	Subkeys     []string  `json:"subkeys,omitempty"` // fingerprints of those that sign
	Owner       string    `json:"owner,omitempty"`
	Algorithm   string    `json:"algorithm,omitempty"`
	Source      string    `json:"source,omitempty"`
	Created     time.Time `json:"created,omitzero"`
	Expires     time.Time `json:"expires,omitzero"` // zero: never
	FirstSeen   time.Time `json:"firstSeen"`
	Gone        time.Time `json:"gone,omitzero"`    // when its source ceased to have it
	RPM         bool      `json:"rpm,omitempty"`    // rpm's keyring has it
	Judged      string    `json:"judged,omitempty"` // digest of what was last concluded from the certificate

	// Overruled names the revocations in the certificate that could not be verified and that an
	// administrator overruled: SHA-256 of each packet's body, hexadecimal.
	Overruled []string `json:"overruled,omitempty"`

	Revoked *KeyRevocation `json:"revoked,omitempty"`
}

// IsCertificate reports whether digestd has seen the certificate. If not, the record is about a
// fingerprint that was revoked, which may be that of a subkey.
func (k Key) IsCertificate() bool { return k.Use == "" && !k.Created.IsZero() }

// KeyRevocation is the reason why a key vouches for nothing. It stays until an administrator
// lifts it, whatever happens to the key.
type KeyRevocation struct {
	Act
	Source string `json:"source"`           // the user, file or program that revoked it
	Hard   bool   `json:"hard"`             // also applies to signatures made before When
	Unread bool   `json:"unread,omitempty"` // the revocation is in the certificate and cannot be verified
}

// Anchor is the record that binds the index to a counter outside of it, which no backup
// restores.
type Anchor struct {
	Name   string    `json:"name"`             // name of the counter, hexadecimal
	Epoch  uint64    `json:"epoch"`            // the value that the counter has, or will get next
	Due    bool      `json:"due,omitempty"`    // digestd decided something since the epoch began
	Policy string    `json:"policy,omitempty"` // digest of the settings that decide, at the time of the epoch
	Bound  time.Time `json:"bound"`
}

// MetaAnchor is the key of the [Anchor] among the small named values.
const MetaAnchor = "anchor"

// PutAnchor records the anchor; the zero Anchor removes the record.
func (b *Batch) PutAnchor(a Anchor) {
	if a.Name == "" {
		b.SetMeta(MetaAnchor, nil)
		return
	}
	b.put(BucketMeta, []byte(MetaAnchor), a)
}

// Doubt is why the index may be older than what was decided. It stands until the counter is
// read again: a start at which the TPM does not answer knows it from here.
type Doubt struct {
	Kind string `json:"kind"` // of [policy.Doubt]
	Text string `json:"text"`
}

// MetaDoubt is the key of the [Doubt] among the small named values.
const MetaDoubt = "anchor-doubt"

// PutDoubt records a doubt; the zero Doubt is none.
func (b *Batch) PutDoubt(d Doubt) {
	if d.Kind == "" {
		b.SetMeta(MetaDoubt, nil)
		return
	}
	b.put(BucketMeta, []byte(MetaDoubt), d)
}

// Aside is the record of a file in the quarantine directory.
type Aside struct {
	Name   string    `json:"-"` // its name in quarantine
	List   string    `json:"list"`
	Digest Digest    `json:"digest,omitzero"`
	Size   int64     `json:"size,omitempty"` // in bytes; for a directory, of everything in it
	Reason string    `json:"reason"`
	When   time.Time `json:"when"`
}

// Event is one entry of the log of decisions.
type Event struct {
	Seq     uint64    `json:"-"`
	When    time.Time `json:"when"`
	Kind    string    `json:"kind"`
	Package string    `json:"package,omitempty"`
	List    string    `json:"list,omitempty"`
	Digest  Digest    `json:"digest,omitzero"` // of the list without its signature
	Key     string    `json:"key,omitempty"`
	Counter uint64    `json:"counter,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Text    string    `json:"text,omitempty"`
	UID     uint32    `json:"uid"`
	PID     uint32    `json:"pid,omitempty"`
	Unit    string    `json:"unit,omitempty"` // the unit of the service manager that the process belonged to
	Chain   Digest    `json:"chain,omitzero"` // see [Chain]; always the last field
}
