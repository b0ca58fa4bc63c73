// SPDX-License-Identifier: Apache-2.0

// Package api holds what the daemon answers: plain structs that travel over
// D-Bus as a{sv} and leave digestctl as JSON, under the same keys.
//
// It promises that keys are only ever added, never renamed or given another
// meaning, and that what cannot travel as it is (text that is not UTF-8) is
// replaced rather than lost with its message. Fields marked omitzero are absent
// when they have nothing to say; all others are always there.
//
// It leaves transport to package bus, words for people to digestctl, and all
// decisions to the daemon.
package api

import "time"

// Version is the version of daemon and command line, which are released
// together; the Makefile sets it when it links.
var Version = "0.1.0"

// The name, object and interface the daemon has on the bus.
const (
	BusName   = "org.digestd1"
	Path      = "/org/digestd1"
	Interface = "org.digestd1.Manager"
)

// MaxPage is how many elements one reply carries at most, and how many it
// carries when the caller names no limit.
const MaxPage = 1000

// The states of a list, as the design names them.
const (
	StateActive      = "active"
	StateEmpty       = "empty" // nothing to vouch for
	StateWithheld    = "withheld"
	StateQuarantined = "quarantined"
	StateRetired     = "retired"
)

// Status is the daemon at a glance.
type Status struct {
	Version       string      `json:"version"`
	State         string      `json:"state"` // Healthy or Degraded; package bus fills it in
	Mode          string      `json:"mode"`  // enforce, withhold, audit
	Root          string      `json:"root"`
	ListDirectory string      `json:"listDirectory"`
	Format        string      `json:"format"`       // tlv, rpm
	Sign          string      `json:"sign"`         // pkcs7, pgp, none
	Unsigned      string      `json:"unsigned"`     // withhold, allow
	DatabasePath  string      `json:"databasePath"` // "" when the root has no rpm database
	DatabaseKind  string      `json:"databaseKind"` // sqlite, ndb
	Since         time.Time   `json:"since"`        // when this daemon started
	Packages      int         `json:"packages"`     // installed, as rpm's database has them
	Lists         Counts      `json:"lists"`
	Files         int         `json:"files"` // in active lists
	Keys          []Key       `json:"keys"`  // trusted now
	Certificate   Certificate `json:"certificate"`
	Transaction   bool        `json:"transaction"` // a package transaction is in flight
	LastSync      LastSync    `json:"lastSync,omitzero"`
	Problems      []Problem   `json:"problems"` // what an administrator should act on
	Counter       uint64      `json:"counter"`  // the last activation
}

// Counts are numbers of lists by state.
type Counts struct {
	Active      int `json:"active"`
	Withheld    int `json:"withheld"`
	Quarantined int `json:"quarantined"`
	Retired     int `json:"retired"`
	Grace       int `json:"grace"` // of the active: replaced, stay until the machine restarts
}

// The states of a [Key].
const (
	KeyTrusted = "trusted"
	KeyExpired = "expired" // what it signed before counts, unless the configuration says otherwise
	KeyRevoked = "revoked"
	KeyWeak    = "weak" // not accepted
	KeyGone    = "gone" // its source dropped it
)

// Key is a certificate that vouches for packages, or ever did.
type Key struct {
	Fingerprint string    `json:"fingerprint"`  // lower-case hexadecimal digits; of a list signer, its subject key identifier
	Use         string    `json:"use,omitzero"` // "" vouches for packages, "lists" signs lists
	Owner       string    `json:"owner"`        // its user ID
	Algorithm   string    `json:"algorithm"`    // for example rsa3072
	Source      string    `json:"source"`       // where the daemon found it
	State       string    `json:"state"`
	Created     time.Time `json:"created,omitzero"`
	Expires     time.Time `json:"expires,omitzero"`
	Subkeys     []string  `json:"subkeys,omitzero"` // fingerprints of those that sign
	Weak        string    `json:"weak,omitzero"`    // why it is not accepted, if so
	FirstSeen   time.Time `json:"firstSeen,omitzero"`

	RevokedBy     string    `json:"revokedBy,omitzero"` // who or what said so
	RevokedReason string    `json:"revokedReason,omitzero"`
	RevokedAt     time.Time `json:"revokedAt,omitzero"`
	RevokedUID    uint32    `json:"revokedUid,omitzero"`

	Lists    int `json:"lists"`    // active by its word
	Files    int `json:"files"`    // in these
	Withheld int `json:"withheld"` // lists of its packages that are not active
}

// Certificate is what the lists of this machine are signed with.
type Certificate struct {
	Subject     string    `json:"subject"`
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the DER form, hexadecimal
	SKI         string    `json:"ski"`         // subject key identifier, as /proc/keys shows it
	NotAfter    time.Time `json:"notAfter,omitzero"`
	Path        string    `json:"path"`
}

// SyncResult is what a comparison with rpm's database came to.
type SyncResult struct {
	Installed   int           `json:"installed"`
	Published   int           `json:"published"`
	Withdrawn   int           `json:"withdrawn"`
	Kept        int           `json:"kept"` // stood already
	Withheld    int           `json:"withheld"`
	Quarantined int           `json:"quarantined"`
	Failed      int           `json:"failed"` // headers that could not be read
	Duration    time.Duration `json:"durationNs"`
}

// LastSync is the latest comparison with rpm's database that succeeded.
type LastSync struct {
	When time.Time `json:"when"`
	SyncResult
}

// List is a list and the package it belongs to.
type List struct {
	Name         string    `json:"name"` // of its file
	Path         string    `json:"path,omitzero"`
	NEVRA        string    `json:"nevra,omitzero"` // "" for a quarantined file of nobody
	State        string    `json:"state"`
	Reason       string    `json:"reason,omitzero"` // one word, for programs
	Text         string    `json:"text,omitzero"`   // the reason, for people
	Key          string    `json:"key,omitzero"`    // fingerprint of the key that vouches for the package
	KeyOwner     string    `json:"keyOwner,omitzero"`
	Signer       string    `json:"signer,omitzero"`       // subject key identifier of the list's signer
	HeaderDigest string    `json:"headerDigest,omitzero"` // rpm's SHA256HEADER
	BodyDigest   string    `json:"bodyDigest,omitzero"`   // SHA-256 of the list without its signature
	Files        int       `json:"files"`
	Counter      uint64    `json:"counter,omitzero"`
	Since        time.Time `json:"since,omitzero"`
	Granted      bool      `json:"granted"` // active because an administrator granted a rollback
	Grace        bool      `json:"grace"`   // replaced; stays until the machine restarts
}

// File is one entry of a list.
type File struct {
	Path    string `json:"path"`
	RawPath []byte `json:"rawPath,omitzero"` // the bytes, when they are not UTF-8
	Algo    string `json:"algo"`
	Digest  string `json:"digest"` // lower-case hexadecimal digits
}

// Verdicts of [Why].
const (
	VerdictVouched    = "vouched"     // an active list has this content
	VerdictAltered    = "altered"     // a list has this path with another content
	VerdictWithheld   = "withheld"    // its package's list is withheld or quarantined
	VerdictLabel      = "label"       // the file is bound to a list that does not include it
	VerdictUnknown    = "unknown"     // no list has this path or content
	VerdictMissing    = "missing"     // there is no such file
	VerdictNotRegular = "not-regular" // directories, devices, sockets: nothing to vouch for
)

// Why says whether a file is vouched for, and by what.
type Why struct {
	Path       string    `json:"path"`
	RawPath    []byte    `json:"rawPath,omitzero"` // the bytes, when they are not UTF-8
	RealPath   string    `json:"realPath"`         // with links followed, below the root
	Vouched    bool      `json:"vouched"`
	Verdict    string    `json:"verdict"`
	Text       string    `json:"text"`           // the verdict, for people
	Label      string    `json:"label,omitzero"` // security.digest_list
	Digest     string    `json:"digest,omitzero"`
	Algo       string    `json:"algo,omitzero"`
	Lists      []WhyList `json:"lists"`
	Owner      string    `json:"owner,omitzero"` // NEVRA of the package the file belongs to
	OwnerState string    `json:"ownerState,omitzero"`
	Reasons    []string  `json:"reasons"`         // why not, most important first
	Advice     string    `json:"advice,omitzero"` // what to do next
}

// WhyList is a list that has the file's content or its path.
type WhyList struct {
	List          string `json:"list"`
	State         string `json:"state"`
	NEVRA         string `json:"nevra"`
	Key           string `json:"key,omitzero"`
	KeyOwner      string `json:"keyOwner,omitzero"`
	Counter       uint64 `json:"counter,omitzero"`
	Reason        string `json:"reason,omitzero"`
	Text          string `json:"text,omitzero"`
	PathMatches   bool   `json:"pathMatches"`
	DigestMatches bool   `json:"digestMatches"`
	Expected      string `json:"expected,omitzero"` // the digest the list has for this path, when it is another
}

// Actor is who did something on purpose, as the bus or the kernel knows them.
type Actor struct {
	UID    uint32 `json:"uid"`
	PID    uint32 `json:"pid,omitzero"`
	Sender string `json:"sender,omitzero"` // unique name on the bus
}

// Event is an entry of the log of decisions.
type Event struct {
	Seq     uint64    `json:"seq"`
	When    time.Time `json:"when"`
	Kind    string    `json:"kind"`
	Package string    `json:"package,omitzero"` // name.arch
	NEVRA   string    `json:"nevra,omitzero"`
	List    string    `json:"list,omitzero"`
	Key     string    `json:"key,omitzero"`
	Counter uint64    `json:"counter,omitzero"`
	Reason  string    `json:"reason,omitzero"`
	Text    string    `json:"text,omitzero"`
	Actor   Actor     `json:"actor"`
}

// Grant is the permission to go back to one version, once.
type Grant struct {
	Package string    `json:"package"` // NEVRA
	UID     uint32    `json:"uid"`
	Reason  string    `json:"reason"`
	When    time.Time `json:"when"`
}

// Floor is what keeps old versions of one package on one architecture out.
type Floor struct {
	Package string    `json:"package"`          // name.arch
	EVR     string    `json:"evr,omitzero"`     // the administrator's floor
	High    string    `json:"high,omitzero"`    // the highest version ever active
	Retired string    `json:"retired,omitzero"` // of multi-version packages, the highest retired
	Counter uint64    `json:"counter"`
	By      *Actor    `json:"by,omitzero"` // who set the floor
	Reason  string    `json:"reason,omitzero"`
	When    time.Time `json:"when,omitzero"`
}
