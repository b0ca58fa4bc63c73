// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrUnsigned means that a header has no signature of its own: neither RSAHEADER, DSAHEADER nor
// OPENPGP.
var ErrUnsigned = errors.New("header is not signed")

// UnknownKeyError means that no key of the keyring made any of the signatures.
type UnknownKeyError struct {
	KeyIDs []string // 16 hex digits, or the whole fingerprint if the signature has it
}

func (e *UnknownKeyError) Error() string {
	return "header is signed by unknown key " + strings.Join(e.KeyIDs, ", ")
}

// BadSignatureError means that a signature does not fit the header and the key that it names, or
// is malformed.
type BadSignatureError struct {
	KeyID       string // 16 hex digits, "" if it could not be read
	Fingerprint string // of the key that was tried, "" if none was
	Reason      string
}

func (e *BadSignatureError) Error() string {
	return fmt.Sprintf("signature%s is bad: %s", byKey(e.KeyID, e.Fingerprint), e.Reason)
}

// WeakError means that a signature, or the key that made it, is too weak, unsupported, or not
// for signing.
type WeakError struct {
	KeyID       string // 16 hex digits
	Fingerprint string // of the signing key, "" if it was not looked at
	Reason      string
}

func (e *WeakError) Error() string {
	return fmt.Sprintf("signature%s is not valid: %s", byKey(e.KeyID, e.Fingerprint), e.Reason)
}

// RevokedError means that the key that made the signature is revoked.
type RevokedError struct {
	Fingerprint string // of the signing key
	Reason      string
}

func (e *RevokedError) Error() string {
	return fmt.Sprintf("signature%s is not valid: %s", byKey("", e.Fingerprint), e.Reason)
}

// ExpiredError means that a signature was made while its key was not valid, or has itself
// expired.
type ExpiredError struct {
	Fingerprint string    // of the signing key
	Signed      time.Time // when the signature says it was made
	Reason      string
}

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("signature%s is not valid: %s", byKey("", e.Fingerprint), e.Reason)
}

// FutureError means that the time of a signature is in the future of the caller's clock.
type FutureError struct {
	Fingerprint string    // of the signing key
	Signed      time.Time // when the signature says it was made
	From        time.Time // when it becomes valid: somewhat earlier, because clocks differ
}

func (e *FutureError) Error() string {
	return fmt.Sprintf("signature%s is not valid yet: it is from the future, %s; check the clock",
		byKey("", e.Fingerprint), e.Signed.UTC().Format(time.RFC3339))
}

func byKey(id, fingerprint string) string {
	switch {
	case fingerprint != "":
		return " by key " + fingerprint
	case id != "":
		return " by key " + id
	}
	return ""
}
