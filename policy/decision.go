// SPDX-License-Identifier: Apache-2.0

package policy

// Verdict decides about a list and its package.
type Verdict uint8

const (
	Allow        Verdict = iota // the list may exist
	WithholdList                // the package may be installed, without a list
	Veto                        // the package must not be installed
)

func (v Verdict) String() string { return [...]string{"allow", "withhold", "veto"}[v] }

// Reason is the reason for a decision, in one word for programs.
type Reason string

// The reasons. An empty one means that nothing forbids the list.
const (
	ReasonActive          Reason = "active"           // its list is active already
	ReasonGranted         Reason = "granted"          // the owner granted exactly this version
	ReasonRollback        Reason = "rollback"         // a higher version was active
	ReasonRollbackFloor   Reason = "rollback-floor"   // it is below the floor
	ReasonRollbackRetired Reason = "rollback-retired" // multi-version: this or a higher version was retired
	ReasonAdvisory        Reason = "below-advisory"   // an advisory says that a higher version fixes it
	ReasonOlderState      Reason = "older-state"      // a higher version is installed, and the index may lack decisions

	ReasonUnsigned      Reason = "unsigned"
	ReasonUnknownKey    Reason = "unknown-key"
	ReasonBadSignature  Reason = "bad-signature"
	ReasonWeakSignature Reason = "weak-signature"
	ReasonKeyRevoked    Reason = "key-revoked"
	ReasonKeyExpired    Reason = "key-expired"
	ReasonNotYetValid   Reason = "not-yet-valid" // its signature is from the future
	ReasonKeyHeld       Reason = "key-held"      // a revocation of the key cannot be verified
	ReasonBlacklisted   Reason = "blacklisted"   // the kernel's .blacklist names the list or a file in it

	ReasonDenied  Reason = "denied"   // the owner or another authority denied it
	ReasonKeyName Reason = "key-name" // it would replace the keys that rpm trusts

	ReasonNoFiles     Reason = "no-files"     // it has no file to vouch for
	ReasonWeakDigests Reason = "weak-digests" // its file digests can be forged
)

// Rollback reports whether r is about an old version.
func (r Reason) Rollback() bool {
	return r == ReasonRollback || r == ReasonRollbackFloor || r == ReasonRollbackRetired || r == ReasonAdvisory || r == ReasonOlderState
}

// Decision is a verdict with its reason. An Allow may have the reason for which another Mode
// would refuse.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	Text    string // for people: the package, the cause, and the next step
	Grant   bool   // a grant permits it
	Denial  string // ID of the denial that forbids it
}
