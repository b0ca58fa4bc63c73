// SPDX-License-Identifier: Apache-2.0

package policy

import "github.com/digestd/digestd/digestlist/nevra"

// Class is the result of verifying a package's signature.
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

// Outcome is a Class with a description for people.
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

// Vouch decides whether the signature of pkg suffices for a list. A revoked key is worse than a
// missing one: an authority said that its packages must not be installed, so mode Enforce
// refuses them.
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

// KeyHeld returns the decision about a new package whose key has a revocation that cannot be
// verified. detail has the reason.
func KeyHeld(pkg nevra.NEVRA, detail string) Decision {
	return Decision{Verdict: WithholdList, Reason: ReasonKeyHeld, Text: pkg.String() + ": " + detail +
		"; get a new copy of the certificate from its owner, or, if the key is good: digestctl keys restore KEY --reason WHY"}
}

// NoFiles returns the decision about a package without files to vouch for.
func NoFiles(pkg nevra.NEVRA) Decision {
	return Decision{Verdict: WithholdList, Reason: ReasonNoFiles, Text: pkg.String() + " has no regular files and needs no list"}
}

// WeakDigests returns the decision about a package whose file digests can be forged.
func WeakDigests(pkg nevra.NEVRA, detail string) Decision {
	return Decision{Verdict: WithholdList, Reason: ReasonWeakDigests, Text: pkg.String() + ": " + detail}
}
