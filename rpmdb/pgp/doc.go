// SPDX-License-Identifier: Apache-2.0

// Package pgp reads OpenPGP certificates as rpm keeps them and verifies the
// signatures of rpm headers with them.
//
// It promises:
//
//   - A signature vouches for a header only if it is a version 3, 4 or 6
//     signature of type 0x00 over the eight magic bytes and the immutable region,
//     made by the primary key or by a signing subkey of a certificate of the
//     [Keyring], with an algorithm that is good enough, by a key that was valid
//     when the signature was made and is not revoked.
//   - Keys that must not vouch (weak, unsupported, revoked, expired) are returned
//     with the reason rather than dropped, so that nobody mistakes a refusal
//     for a missing key.
//   - Input is hostile: lengths and counts are bounded, every byte of a signature
//     packet has to be accounted for, and a panic in the OpenPGP library below
//     becomes an error.
//   - A [Keyring] is immutable and may be used by many goroutines; verifying
//     parses no key again.
//
// The package opens no file and has no clock: the caller gives it bytes and the time. Others
// decide which keys are trusted, and what happens to a package whose signature does not vouch
// for it.
//
// # Why keys are judged here and not by openpgp/v2
//
// The packet parsers and the signature checks over keys are those of go-crypto's packet
// package. Its openpgp/v2 package is not used: it knows no version 3 signatures, which are the
// rule in the RHEL and SUSE families; its entities remember verification results lazily, so one
// key ring cannot be shared between goroutines; a key ring with a single unsupported key loses
// that key without a word; and a key whose only self-signature is newer than a package cannot
// verify that package, although distributions do re-sign their keys to extend them.
//
// # How a key is judged
//
// The owner's latest word counts: expiry and use of a key come from its newest
// valid self-signature, whatever the age of the signature at hand. A key
// is expired for a signature made outside [creation, expiry]. A hard revocation
// (compromised, no reason, or a reason unknown) refuses every signature of the
// key, a soft one (superseded, retired) those made at or after it; nothing that
// the key says later takes a revocation back. A subkey needs a binding that
// says it signs and a back signature, and shares the fate of its primary key.
// Without a back signature it owns nothing, not even its fingerprint: anybody can
// claim the key of another. A primary key of the keyring is nobody's subkey. Two
// certificates may have one subkey; if one of them says that it is compromised,
// that holds for both.
//
// A revocation that cannot be verified (by its version, hash, algorithm or a critical
// subpacket) counts as hard if it names the key as its issuer. If it names another or
// none, what the key has vouched for stays, and nothing new may come under it: see
// [Unread] and [Result].Held. Revocations by a designated revoker are not supported.
package pgp
