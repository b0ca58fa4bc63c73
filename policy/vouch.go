// SPDX-License-Identifier: Apache-2.0

package policy

import "github.com/digestd/digestd/digestlist/nevra"

// Class is the outcome of checking a package's signature.
type Class uint8

const (
	Good Class = iota
	NotSigned
	UnknownKey
	BadSignature
	WeakSignature
	KeyRevoked
	KeyExpired
	FromFuture
)

// Outcome is a Class with what the check said of it, for people.
type Outcome struct {
	Class  Class
	Detail string
}

var outcomes = [...]struct {
	reason Reason
	advice string
}{
	NotSigned:     {ReasonUnsigned, `; to vouch for unsigned packages, set unsigned = "allow" in digestd.conf`},
	UnknownKey:    {ReasonUnknownKey, "; to trust its key: rpmkeys --import, or put it into the keys directory, then: digestctl sync"},
	BadSignature:  {ReasonBadSignature, "; the package is damaged or forged: remove it, or reinstall it from its source"},
	WeakSignature: {ReasonWeakSignature, "; ask its vendor for a signature with current algorithms"},
	KeyRevoked:    {ReasonKeyRevoked, "; use a build that another key signed, or lift the revocation: digestctl keys restore KEY --reason WHY"},
	KeyExpired:    {ReasonKeyExpired, "; import the renewed key, then digestctl sync"},
	FromFuture:    {ReasonNotYetValid, "; set the clock; digestd publishes the list when the time of the signature has come"},
}

// Vouch decides whether the signature of pkg is enough for a list. A revoked key
// is more than a missing one: somebody said that what it signs is not to be
// installed, so in mode Enforce it is not.
func Vouch(m Mode, u Unsigned, pkg nevra.NEVRA, o Outcome) Decision {
	if o.Class == Good || o.Class == NotSigned && u == UnsignedAllow {
		return Decision{}
	}
	kind, verdict := outcomes[o.Class], WithholdList
	if o.Class == KeyRevoked && m == Enforce {
		verdict = Veto
	}
	return Decision{Verdict: verdict, Reason: kind.reason, Text: pkg.String() + ": " + o.Detail + kind.advice}
}

// KeyHeld is the decision about a package that is new under a key of which a revocation
// cannot be verified, for the reason in detail.
func KeyHeld(pkg nevra.NEVRA, detail string) Decision {
	return Decision{Verdict: WithholdList, Reason: ReasonKeyHeld, Text: pkg.String() + ": " + detail +
		"; get a new copy of the certificate from its owner, or, if the key is good: digestctl keys restore KEY --reason WHY"}
}

// NoFiles is the decision about a package without a file that a list could
// vouch for.
func NoFiles(pkg nevra.NEVRA) Decision {
	return Decision{Verdict: WithholdList, Reason: ReasonNoFiles, Text: pkg.String() + " has no regular files and needs no list"}
}

// WeakDigests is the decision about a package whose file digests can be forged.
func WeakDigests(pkg nevra.NEVRA, detail string) Decision {
	return Decision{Verdict: WithholdList, Reason: ReasonWeakDigests, Text: pkg.String() + ": " + detail}
}
