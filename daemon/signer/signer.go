// SPDX-License-Identifier: Apache-2.0

// Package signer holds the machine's signing key, which is in a file, in a PKCS#11 token or in a
// TPM.
//
// [Create] makes a key at a place and returns the content of the key's file: the key itself, or
// the reference to it. [Load] reads that file. It does not connect to a key outside of the file
// before the key is needed: a Signer exists, and knows its public key, while its token is away.
//
// A signature is always by the key for which the Signer was loaded. No call waits longer than
// its deadline, and callers do not ask a token again that has failed; see [Signer]. The caller
// keeps the certificates and the file. A separate program, digestd-pkcs11, loads PKCS#11
// modules, because they are code of third parties.
package signer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/signer/token"
	"github.com/digestd/digestd/kernel/tpm"
)

// Signer signs SHA-256 digests with one key. Several goroutines may call its methods at the same
// time.
//
// After a failure of the token Sign fails at once, with the same error, until Check has
// succeeded: an unreachable token must not delay every package of a transaction.
type Signer interface {
	crypto.Signer // Sign takes at most SignTimeout
	io.Closer     // closes the connection to the token; Sign fails afterwards

	// Check connects to the key, which Create and Load do not, and proves by a signature that it
	// can be used.
	Check(ctx context.Context) error
	// Release closes the connection to the token until the key is needed again: some tokens
	// serve one user at a time.
	Release()
	// Failure returns the error of the latest Sign or Check, nil if it succeeded.
	Failure() error
	// String names the place of the key, for people.
	String() string
}

// SignTimeout bounds one Sign: package managers wait for it, at most ten seconds in all.
const SignTimeout = 5 * time.Second

// createTimeout bounds Create: small tokens need many seconds to make a key.
const createTimeout = 40 * time.Second

// maxKeyFile bounds the file that Load reads, in bytes.
const maxKeyFile = 16 << 10

var errClosed = errors.New("cannot sign: the key was closed")

// CheckPlace returns an error if Create does not understand where. It connects to no token.
func CheckPlace(where string) error {
	_, err := parsePlace(where)
	return err
}

// place is a place for new keys.
type place interface {
	// create makes a key and returns the content of its file.
	create(ctx context.Context) ([]byte, *ecdsa.PublicKey, error)
}

func parsePlace(where string) (place, error) {
	switch {
	case where == "":
		return filePlace{}, nil
	case strings.HasPrefix(where, token.Scheme):
		u, err := token.ParseURI(where)
		if err == nil && u.ID != nil {
			err = errors.New("cannot make keys there: each key gets an ID of its own")
		}
		if err == nil {
			_, err = token.ParseURI(tokenPlace{u}.next().String()) // which is longer
		}
		return tokenPlace{u}, err
	case strings.HasPrefix(where, tpm.Scheme):
		return parseTPMPlace(where)
	}
	return nil, fmt.Errorf("cannot make keys in %.80q: want nothing for a file, %s…, or %s…", where, token.Scheme, tpm.Scheme)
}

// Create makes a P-256 key at the place where, and returns the content of its file: if where is
// "", a PEM block with the key (PKCS#8); if it is "tpm:…", the key encrypted by the TPM; if it
// is "pkcs11:…", the URI of the key. A key in a token or a TPM cannot be read out of it.
func Create(ctx context.Context, where string) (keyFile []byte, _ Signer, err error) {
	p, err := parsePlace(where)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	keyFile, public, err := p.create(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a key: %w", err)
	}
	s, err := Load(keyFile, public)
	return keyFile, s, err
}

// Load opens the key of a file that Create made, or of any PKCS#8 file. public is the key's
// public key. Load does not check that the token has the key; the first use does.
func Load(keyFile []byte, public crypto.PublicKey) (Signer, error) {
	if len(keyFile) > maxKeyFile {
		return nil, fmt.Errorf("it has %d bytes, want at most %d", len(keyFile), maxKeyFile)
	}
	text := strings.TrimSpace(string(keyFile))
	if !strings.HasPrefix(text, token.Scheme) {
		return loadPEM(keyFile, public)
	}
	u, err := token.ParseURI(text)
	if err != nil {
		return nil, err
	}
	if u.ID == nil {
		return nil, errors.New("the PKCS#11 URI names no key: id= is missing")
	}
	point, err := remoteKey(public)
	if err != nil {
		return nil, err
	}
	return newRemote(u.Key(), point, func(ctx context.Context) (connection, error) { return openToken(ctx, u) }), nil
}

// remoteKey returns public as an ECDSA key on P-256, the only kind of keys outside of files.
func remoteKey(public crypto.PublicKey) (*ecdsa.PublicKey, error) {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("the certificate is of %T, but keys outside of files are on P-256", public)
	}
	return key, nil
}
