// SPDX-License-Identifier: Apache-2.0

package record

import (
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
)

// State says where a list stands.
type State string

// The states of a list.
const (
	Active      State = "active"      // in the list directory
	Withheld    State = "withheld"    // its package is installed, policy says no
	Empty       State = "empty"       // its package is installed and has no file to vouch for
	Quarantined State = "quarantined" // set aside: not by our hand, or altered
	Retired     State = "retired"     // its package was replaced or removed
)

// List is the record of one package's list, kept under the list's file name.
type List struct {
	Name    string      `json:"-"`
	State   State       `json:"state"`
	Package nevra.NEVRA `json:"package,omitzero"` // of an own list, only in memory
	Header  Digest      `json:"header"`           // of the magic and the immutable region: rpm's SHA256HEADER
	Body    Digest      `json:"body,omitzero"`    // of the list without its appended signature
	File    Digest      `json:"file,omitzero"`    // of the list as it lies in the directory
	Key     string      `json:"key,omitempty"`    // fingerprint of the certificate that vouches, "" for an unsigned package
	Signer  string      `json:"signer,omitempty"` // subject key id of the certificate that signed the list
	Files   int         `json:"files,omitempty"`
	Largest uint64      `json:"largest,omitempty"` // size in bytes of the largest of them; 0: not known
	Counter uint64      `json:"counter,omitempty"` // the activation this list came with
	Since   time.Time   `json:"since"`
	Reason  string      `json:"reason,omitempty"` // a policy.Reason
	Text    string      `json:"text,omitempty"`   // the reason, for people
	Granted bool        `json:"granted,omitempty"`
	Void    bool        `json:"void,omitempty"`  // a floor was set above it after it was granted
	Grace   string      `json:"grace,omitempty"` // the boot until whose end a replaced list may stay

	Denied []string `json:"denied,omitempty"` // IDs of the denials that withhold it, or whose content it leaves out
	Left   int      `json:"left,omitempty"`   // files that it leaves out

	Own     string `json:"own,omitempty"`     // name of the own list that it is, "" for a package's
	Version uint64 `json:"version,omitempty"` // of the own list
	Change  Change `json:"change,omitempty"`
	Next    string `json:"next,omitempty"` // the name it is moving to

	Moved header.Relocations `json:"moved,omitempty"` // where rpm installed the files, if not where the package has them
	Wide  string             `json:"wide,omitempty"`  // of the body, hexadecimal, as the signer digests it, where that is not by SHA-256

	Signature *Signature `json:"signature,omitempty"` // that vouches for it; nil for an unsigned package, and before schema 2
	Rules     string     `json:"rules,omitempty"`     // by which it was verified; "" before schema 2: it must be verified again
	From      time.Time  `json:"from,omitzero"`       // when the signature begins to count for which it is withheld now

	Module string    `json:"module,omitempty"` // the module stream that the package says it is of, "name:stream"
	Below  time.Time `json:"below,omitzero"`   // since when it is known that an advisory mends what the package has
	Due    time.Time `json:"due,omitzero"`     // when its list is to go for that, as was announced
}

// Signature is what has to be known of a signature that was verified to say later
// whether it may still vouch.
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

// Void ends grants: of what was active below a version by a counter.
type Void struct {
	EVR     nevra.EVR `json:"evr"`
	Counter uint64    `json:"counter"`
}

// Ends reports whether the grant that let in a version, by its counter, is void. A list
// that was away while the floor was set bears no note of that. One without a counter is yet
// to be active.
func (v Void) Ends(evr nevra.EVR, counter uint64) bool {
	return 0 < counter && counter <= v.Counter && nevra.Compare(evr, v.EVR) < 0
}

// Grant permits one version below the line's high, once.
type Grant struct {
	EVR nevra.EVR `json:"evr"`
	Act
}

// Act says who did something on purpose, when and why.
type Act struct {
	UID    uint32    `json:"uid"`
	PID    uint32    `json:"pid,omitempty"`
	Reason string    `json:"reason,omitempty"`
	When   time.Time `json:"when"`
}

// Retirement remembers the body of a list that must not come back.
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

// Key is the record of a certificate that vouches or once did. It outlives the
// certificate, so that a revocation does.
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
	Gone        time.Time `json:"gone,omitzero"`    // when its source dropped it
	RPM         bool      `json:"rpm,omitempty"`    // it is in rpm's keyring
	Judged      string    `json:"judged,omitempty"` // what was last concluded from the certificate, digested

	// Overruled are the revocations in the certificate that could not be verified and
	// that an administrator overruled: SHA-256 of each packet's body, hexadecimal.
	Overruled []string `json:"overruled,omitempty"`

	Revoked *KeyRevocation `json:"revoked,omitempty"`
}

// IsCertificate reports whether the key was met as a certificate. Else the record is
// of a fingerprint that somebody revoked, which may be that of a subkey.
func (k Key) IsCertificate() bool { return k.Use == "" && !k.Created.IsZero() }

// KeyRevocation says why a key vouches for nothing any more. It stands until
// somebody lifts it on purpose, whatever becomes of the key.
type KeyRevocation struct {
	Act
	Source string `json:"source"`           // who or what said so
	Hard   bool   `json:"hard"`             // also of what was signed before When
	Unread bool   `json:"unread,omitempty"` // it is in the certificate and cannot be verified
}

// Anchor is what binds the index to a counter outside of it, which no backup brings back.
type Anchor struct {
	Name   string    `json:"name"`             // the counter's, hexadecimal
	Epoch  uint64    `json:"epoch"`            // the value that the counter has, or is about to get
	Due    bool      `json:"due,omitempty"`    // something was decided since the epoch began
	Policy string    `json:"policy,omitempty"` // digest of the settings that decide, as the epoch has them
	Bound  time.Time `json:"bound"`
}

// MetaAnchor is the key of the [Anchor] among the small named values.
const MetaAnchor = "anchor"

// PutAnchor records what the index is bound to; the zero Anchor is nothing.
func (b *Batch) PutAnchor(a Anchor) {
	if a.Name == "" {
		b.SetMeta(MetaAnchor, nil)
		return
	}
	b.put(BucketMeta, []byte(MetaAnchor), a)
}

// Aside is the record of a file in the quarantine directory.
type Aside struct {
	Name   string    `json:"-"` // its name in quarantine
	List   string    `json:"list"`
	Digest Digest    `json:"digest,omitzero"`
	Size   int64     `json:"size,omitempty"` // in bytes, of a directory with all in it
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
