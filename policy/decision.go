// SPDX-License-Identifier: Apache-2.0

package policy

// Verdict is what becomes of a list.
type Verdict uint8

const (
	Allow        Verdict = iota // the list may exist
	WithholdList                // the package may be installed, without a list
	Veto                        // the package must not be installed
)

func (v Verdict) String() string { return [...]string{"allow", "withhold", "veto"}[v] }

// Reason is the one word for a decision that programs read.
type Reason string

// Reasons. An empty one is that nothing speaks against the list.
const (
	ReasonActive          Reason = "active"           // it is there already
	ReasonGranted         Reason = "granted"          // the owner permitted exactly this version
	ReasonRollback        Reason = "rollback"         // a higher version was active
	ReasonRollbackFloor   Reason = "rollback-floor"   // it is below the floor
	ReasonRollbackRetired Reason = "rollback-retired" // multi-version: this or a higher version was retired
	ReasonAdvisory        Reason = "below-advisory"   // an advisory says that a higher version mends it
	ReasonOlderState      Reason = "older-state"      // a higher version is installed, and the index may have forgotten more

	ReasonUnsigned      Reason = "unsigned"
	ReasonUnknownKey    Reason = "unknown-key"
	ReasonBadSignature  Reason = "bad-signature"
	ReasonWeakSignature Reason = "weak-signature"
	ReasonKeyRevoked    Reason = "key-revoked"
	ReasonKeyExpired    Reason = "key-expired"
	ReasonNotYetValid   Reason = "not-yet-valid" // its signature is from the future
	ReasonKeyHeld       Reason = "key-held"      // a revocation of the key cannot be verified
	ReasonBlacklisted   Reason = "blacklisted"   // the kernel's .blacklist names the list or a file in it

	ReasonDenied  Reason = "denied"   // the owner, or another authority, said no
	ReasonKeyName Reason = "key-name" // it takes the place of the keys that rpm trusts

	ReasonNoFiles     Reason = "no-files"     // it has nothing to vouch for
	ReasonWeakDigests Reason = "weak-digests" // its file digests are broken
)

// Rollback reports whether r is about an old version that comes back.
func (r Reason) Rollback() bool {
	return r == ReasonRollback || r == ReasonRollbackFloor || r == ReasonRollbackRetired || r == ReasonAdvisory || r == ReasonOlderState
}

// Decision is a verdict with its reason. An Allow may carry the reason why it
// would not be one in another Mode.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	Text    string // for people: what is the matter with which package, and how to go on
	Grant   bool   // it is the grant that allows it
	Denial  string // ID of the denial that speaks against it
}
