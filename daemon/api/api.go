// SPDX-License-Identifier: Apache-2.0

// Package api defines the answers of the daemon: plain structs that D-Bus carries as a{sv} and
// digestctl prints as JSON, with the same keys.
//
// Later versions only add keys: they neither rename a key nor change its meaning. Invalid UTF-8
// in a text is replaced, so that it does not cost the whole message. Fields marked omitzero are
// absent if they are empty; all others are always present.
//
// Package bus transports the answers, digestctl prints them for people, and the rooms of the
// daemon make them.
package api

import (
	"os"
	"time"
)

// Version is the version of the daemon and of digestctl, which are released together. The
// Makefile sets it at link time.
var Version = "0.1.0"

// The name, object and interface of the daemon on the bus.
const (
	BusName   = "org.digestd1"
	Path      = "/org/digestd1"
	Interface = "org.digestd1.Manager"
)

// MaxPage is the most elements that one reply carries, and the number for a caller that gives no
// limit.
const MaxPage = 1000

// The states of a list.
const (
	StateActive      = "active"
	StateEmpty       = "empty" // nothing to vouch for
	StateWithheld    = "withheld"
	StateQuarantined = "quarantined"
	StateRetired     = "retired"
)

// Status is the daemon at a glance.
type Status struct {
	Version       string      `json:"version"`           // of the daemon
	State         string      `json:"state"`             // healthy or degraded
	Mode          string      `json:"mode"`              // enforce, withhold, audit
	Root          string      `json:"root"`              // of the tree whose packages are kept
	ListDirectory string      `json:"listDirectory"`     // which the kernel reads
	Format        string      `json:"format"`            // tlv, rpm
	Sign          string      `json:"sign"`              // pkcs7, pgp, none
	Unsigned      string      `json:"unsigned"`          // withhold, allow
	DatabasePath  string      `json:"databasePath"`      // "" when the root has no rpm database
	DatabaseKind  string      `json:"databaseKind"`      // sqlite, ndb
	Since         time.Time   `json:"since"`             // when this daemon started
	Packages      int         `json:"packages"`          // installed, as rpm's database has them
	Lists         Counts      `json:"lists"`             // by state
	Files         int         `json:"files"`             // in active lists
	Keys          []Key       `json:"keys"`              // trusted now
	Certificate   Certificate `json:"certificate"`       // of the key that signs lists
	Transaction   bool        `json:"transaction"`       // a package transaction is in progress
	LastSync      LastSync    `json:"lastSync,omitzero"` // with rpm's database
	Problems      []Problem   `json:"problems"`          // what an administrator should act on
	Counter       uint64      `json:"counter"`           // the last activation

	Verified  Verification `json:"verified,omitzero"` // the latest complete verification that ended
	FIPS      string       `json:"fips,omitzero"`     // in FIPS 140-3 mode: the version of Go's cryptographic module
	Kernel    Kernel       `json:"kernel"`            // that runs, and what it can do for lists
	Anchor    Anchor       `json:"anchor,omitzero"`   // of the index, if one is configured
	Guard     Guard        `json:"guard,omitzero"`    // in the kernel, if it is configured
	LastEvent uint64       `json:"lastEvent"`         // the newest entry of the log
	Waiting   bool         `json:"waiting,omitzero"`  // the daemon cannot open the index now: nothing else is known
	Places    Places       `json:"places,omitzero"`   // files and directories that the daemon uses
	Policies  PolicyCounts `json:"policies,omitzero"` // policy files
	Metadata  Metadata     `json:"metadata,omitzero"` // of the repository with security advisories whose metadata is the oldest

	Deployment Deployment `json:"deployment,omitzero"` // the installed system that the machine is running, if there are several
}

// Places are files and directories that the daemon uses, as absolute paths.
type Places struct {
	Configuration string `json:"configuration,omitzero"` // file that the daemon read; drop-ins are in the directory of this name with .d appended
	Socket        string `json:"socket"`                 // for package managers
	State         string `json:"state"`                  // directory of the index and the signing key
}

// Counts are numbers of lists by state.
type Counts struct {
	Active      int `json:"active"`      // in the directory
	Withheld    int `json:"withheld"`    // of packages that are installed and not vouched for
	Quarantined int `json:"quarantined"` // files in quarantine: something other than digestd put them there or changed them
	Retired     int `json:"retired"`     // of versions that were replaced or removed
	Own         int `json:"own"`         // own lists, in all of these states
	Grace       int `json:"grace"`       // of the active: their packages were replaced; they stay until the machine restarts
}

// The states of a [Key].
const (
	KeyTrusted = "trusted"
	KeyExpired = "expired" // a signature that it made before still counts, unless the configuration says otherwise
	KeyRevoked = "revoked"
	KeyWeak    = "weak" // not accepted
	KeyGone    = "gone" // its source does not have it any more
)

// The uses of keys that vouch for no package.
const (
	UseLists  = "lists"  // it signs the lists of this machine
	UseImport = "import" // it signed lists that were imported
	UseKernel = "kernel" // it is in a keyring of the kernel, and digestd does not use it
	UseDigest = "digest" // it is not a key: the kernel's .blacklist names this digest
)

// Key is a certificate that vouches for packages now, or did in the past.
type Key struct {
	Fingerprint string    `json:"fingerprint"`  // lower-case hexadecimal digits; of a list signer, its subject key identifier; of a certificate that signed imported lists, SHA-256 of it
	Use         string    `json:"use,omitzero"` // "" vouches for packages, "lists" signs lists, "import" signed imported lists, "kernel" is in a keyring of the kernel only, "digest" is no key but a digest that the kernel's .blacklist names
	Owner       string    `json:"owner"`        // its user ID
	Algorithm   string    `json:"algorithm"`    // for example rsa3072
	Source      string    `json:"source"`       // where the daemon found it
	State       string    `json:"state"`        // trusted, expired, revoked, weak, gone
	Created     time.Time `json:"created,omitzero"`
	Expires     time.Time `json:"expires,omitzero"`   // absent if it does not expire
	Subkeys     []string  `json:"subkeys,omitzero"`   // fingerprints of its signing subkeys
	Weak        string    `json:"weak,omitzero"`      // why digestd does not accept it
	Held        string    `json:"held,omitzero"`      // why it vouches for no new package
	FirstSeen   time.Time `json:"firstSeen,omitzero"` // when this daemon first saw it
	Keyrings    []string  `json:"keyrings,omitzero"`  // keyrings of the kernel that have it

	RevokedBy     string    `json:"revokedBy,omitzero"`     // the user, file or program that revoked it
	RevokedReason string    `json:"revokedReason,omitzero"` // the reason that was given
	RevokedAt     time.Time `json:"revokedAt,omitzero"`     // when that was recorded
	RevokedUID    uint32    `json:"revokedUid,omitzero"`    // of the administrator who revoked it

	Lists    int `json:"lists"`    // active lists that it vouches for
	Files    int `json:"files"`    // files in these lists
	Withheld int `json:"withheld"` // lists of its packages that are not active

	Anchor string `json:"anchor,omitzero"` // in an answer to a revocation: anchored or pending, if there is an anchor
}

// Certificate is a certificate of the key that signs lists of this machine.
type Certificate struct {
	Subject     string    `json:"subject"`           // its distinguished name
	Fingerprint string    `json:"fingerprint"`       // SHA-256 of the DER form, hexadecimal
	SKI         string    `json:"ski"`               // subject key identifier, as /proc/keys shows it
	NotAfter    time.Time `json:"notAfter,omitzero"` // when it expires
	Path        string    `json:"path"`              // path of its PEM form
	Waiting     int       `json:"waiting,omitzero"`  // after a rotation: lists that the former key still signs, because digestd could not replace them yet
}

// SyncResult is the result of a comparison with rpm's database.
type SyncResult struct {
	Installed   int           `json:"installed"`   // packages in the database
	Published   int           `json:"published"`   // lists that the comparison added
	Withdrawn   int           `json:"withdrawn"`   // lists that it removed
	Kept        int           `json:"kept"`        // lists that were right
	Withheld    int           `json:"withheld"`    // packages without an active list
	Quarantined int           `json:"quarantined"` // files that digestd did not put there
	Failed      int           `json:"failed"`      // packages and own lists that could not be processed
	Duration    time.Duration `json:"durationNs"`  // of the whole comparison
}

// LastSync is the latest comparison with rpm's database that succeeded.
type LastSync struct {
	When time.Time `json:"when"` // when it ended
	SyncResult
}

// List is a list and the package it belongs to.
type List struct {
	Name         string    `json:"name"`                  // of its file
	Path         string    `json:"path,omitzero"`         // of its file, when there is one
	Own          string    `json:"own,omitzero"`          // the name of an own list
	NEVRA        string    `json:"nevra,omitzero"`        // "" for a quarantined file of nobody
	State        string    `json:"state"`                 // active, empty, withheld, quarantined, retired
	Reason       string    `json:"reason,omitzero"`       // one word, for programs
	Text         string    `json:"text,omitzero"`         // the reason, for people
	Key          string    `json:"key,omitzero"`          // fingerprint of the key that vouches for the package
	KeyOwner     string    `json:"keyOwner,omitzero"`     // its user ID
	Signer       string    `json:"signer,omitzero"`       // subject key identifier of the list's signer
	HeaderDigest string    `json:"headerDigest,omitzero"` // rpm's SHA256HEADER
	BodyDigest   string    `json:"bodyDigest,omitzero"`   // SHA-256 of the list without its signature
	Files        int       `json:"files"`                 // entries
	Counter      uint64    `json:"counter,omitzero"`      // number of its activation; later activations have higher numbers
	Since        time.Time `json:"since,omitzero"`        // when it entered this state
	Granted      bool      `json:"granted"`               // active because an administrator granted a rollback
	Grace        bool      `json:"grace"`                 // replaced; stays until the next boot
	Denied       []string  `json:"denied,omitzero"`       // IDs of the denials that withhold it, or whose content it leaves out
	Left         int       `json:"left,omitzero"`         // files that it leaves out because they are denied
}

// File is one entry of a list.
type File struct {
	Path    string `json:"path"`             // as the package has it
	RawPath []byte `json:"rawPath,omitzero"` // the bytes, when they are not UTF-8
	Algo    string `json:"algo"`             // sha256, sha384, sha512
	Digest  string `json:"digest"`           // lower-case hexadecimal digits
}

// Verdicts of [Why].
const (
	VerdictVouched    = "vouched"     // an active list has this content
	VerdictAltered    = "altered"     // a list has this path with another content
	VerdictWithheld   = "withheld"    // its package's list is withheld or quarantined
	VerdictLabel      = "label"       // the file is bound to a list that does not include it
	VerdictUnknown    = "unknown"     // no list has this path or this content
	VerdictDenied     = "denied"      // its content, or its package, is denied
	VerdictMissing    = "missing"     // there is no such file
	VerdictUnread     = "unread"      // digestd did not read the file for this caller, who gave no digest to compare
	VerdictNotRegular = "not-regular" // directories, devices, sockets: nothing to vouch for
)

// Why says whether a list vouches for a file, and which.
type Why struct {
	Path       string    `json:"path"`                // the path in the question
	RawPath    []byte    `json:"rawPath,omitzero"`    // the bytes, when they are not UTF-8
	RealPath   string    `json:"realPath"`            // with links followed, below the root
	Vouched    bool      `json:"vouched"`             // whether an active list has this content, and the kernel will look in it
	Verdict    string    `json:"verdict"`             // vouched, denied, altered, withheld, label, unknown, missing, unread, not-regular
	Text       string    `json:"text"`                // the verdict, for people
	Label      string    `json:"label,omitzero"`      // the list that security.digest_list binds the file to
	Digest     string    `json:"digest,omitzero"`     // of its content now
	Algo       string    `json:"algo,omitzero"`       // of the digest
	Lists      []WhyList `json:"lists"`               // lists that have its content or its path, the best first
	More       uint32    `json:"more,omitzero"`       // lists that digestd did not read, because others vouch for the file already
	Owner      string    `json:"owner,omitzero"`      // NEVRA of the package the file belongs to
	OwnerState string    `json:"ownerState,omitzero"` // of that package's list
	Reasons    []string  `json:"reasons"`             // why no list vouches for it, most important first
	Advice     string    `json:"advice,omitzero"`     // what to do next
	Denial     string    `json:"denial,omitzero"`     // ID of the denial, if it is denied

	Guard GuardVerdict `json:"guard,omitzero"` // what the guard would do with it now, where it is configured
}

// Bounds of the headers of a package that [Check] judges, in bytes.
const (
	MaxHeader     = 8 << 20
	MaxSignatures = 1 << 20
)

// Verdicts about a package that is not installed yet.
const (
	CheckAllowed  = "allowed"  // it would get a list
	CheckWithheld = "withheld" // it could be installed, without a list
	CheckRefused  = "refused"  // it could not be installed
	CheckNeedless = "needless" // it could be installed, and has no file to vouch for
)

// Check predicts the decision about a package if it were installed now.
type Check struct {
	NEVRA     string   `json:"nevra"`              // of the package
	Verdict   string   `json:"verdict"`            // allowed, withheld, refused, needless
	Reason    string   `json:"reason,omitzero"`    // one word, for programs
	Text      string   `json:"text"`               // the verdict, for people
	Advice    string   `json:"advice,omitzero"`    // what to do next
	Header    bool     `json:"header"`             // digestd judged its header, not only its version
	List      string   `json:"list,omitzero"`      // the name that its list would have
	Installed bool     `json:"installed,omitzero"` // exactly this build is installed
	Files     int      `json:"files,omitzero"`     // files for which its list would vouch
	Key       string   `json:"key,omitzero"`       // fingerprint of the certificate that signed it, if known
	KeyOwner  string   `json:"keyOwner,omitzero"`  // its user ID
	Active    []string `json:"active,omitzero"`    // NEVRAs of this name with an active list
	Denied    []string `json:"denied,omitzero"`    // paths of files that its list would leave out
	Denial    string   `json:"denial,omitzero"`    // ID of the denial that forbids it
}

// WhyList is a list that has the file's content or its path.
type WhyList struct {
	List          string `json:"list"`              // its name
	State         string `json:"state"`             // as in List
	NEVRA         string `json:"nevra"`             // its package
	Key           string `json:"key,omitzero"`      // as in List
	KeyOwner      string `json:"keyOwner,omitzero"` // its user ID
	Counter       uint64 `json:"counter,omitzero"`  // its activation
	Reason        string `json:"reason,omitzero"`   // one word, for programs
	Text          string `json:"text,omitzero"`     // the reason, for people
	PathMatches   bool   `json:"pathMatches"`       // it has this path
	DigestMatches bool   `json:"digestMatches"`     // it has this content
	Expected      string `json:"expected,omitzero"` // the digest that the list has for this path, if it differs
}

// Actor is the user and process that caused an event, as the bus or the kernel reports them.
type Actor struct {
	UID    uint32 `json:"uid"`             // user
	PID    uint32 `json:"pid,omitzero"`    // process
	Unit   string `json:"unit,omitzero"`   // unit of the service manager to which the process belonged
	Sender string `json:"sender,omitzero"` // unique name on the bus
}

// Privileged reports whether the actor needs no authorization: root, and the user who runs this
// program.
func (a Actor) Privileged() bool { return a.UID == 0 || a.UID == uint32(os.Geteuid()) }

// Event is an entry of the log of decisions.
type Event struct {
	Seq     uint64    `json:"seq"`              // rises with every entry
	When    time.Time `json:"when"`             // when it happened
	Kind    string    `json:"kind"`             // such as granted, grant-used, rollback-refused, floor-set
	Package string    `json:"package,omitzero"` // name.arch or NEVRA
	NEVRA   string    `json:"nevra,omitzero"`   // one version of it
	List    string    `json:"list,omitzero"`    // its list
	Digest  string    `json:"digest,omitzero"`  // SHA-256 of the list without its signature
	Key     string    `json:"key,omitzero"`     // fingerprint
	Counter uint64    `json:"counter,omitzero"` // the activation
	Reason  string    `json:"reason,omitzero"`  // one word, for programs
	Text    string    `json:"text,omitzero"`    // the reason, for people
	Actor   Actor     `json:"actor"`            // who caused it
}

// Grant permits one rollback to one version.
type Grant struct {
	Package string    `json:"package"` // NEVRA
	UID     uint32    `json:"uid"`     // of the user who granted it
	Reason  string    `json:"reason"`  // the reason that was given
	When    time.Time `json:"when"`    // when it was granted
}

// Floor is the lowest version of a package that may be active, on one architecture or on all.
type Floor struct {
	Package string    `json:"package"`          // name.arch, or name for every architecture
	EVR     string    `json:"evr,omitzero"`     // the floor
	High    string    `json:"high,omitzero"`    // the highest version ever active
	Retired string    `json:"retired,omitzero"` // highest version retired, of a package with several versions side by side
	Counter uint64    `json:"counter"`          // the last activation of this package
	By      *Actor    `json:"by,omitzero"`      // who set the floor
	Reason  string    `json:"reason,omitzero"`  // the reason that was given
	When    time.Time `json:"when,omitzero"`    // when it was set

	Origin   string `json:"origin,omitzero"`   // what set it, such as policy:base; absent if an administrator of this machine did
	Strength string `json:"strength,omitzero"` // why the origin is trusted, for people
	Keep     bool   `json:"keep,omitzero"`     // active versions below it stay
}
