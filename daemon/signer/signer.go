// SPDX-License-Identifier: Apache-2.0

// Package signer holds the machine's signing key, wherever that is: in a file, in
// a PKCS#11 token or in a TPM.
//
// [Create] makes a key at a place and returns what to write into the key's file:
// the key itself, or what is needed to find it again. [Load] takes that file. A
// key outside of files is reached for when it is needed: a Signer exists, and
// names its public key, while its token is away.
//
// It promises that a signature it returns is by the key it was loaded for, that
// no call waits longer than its deadline, and that a token that fails is not
// asked again by every caller: see [Signer]. Certificates, and where the file is
// kept, are for its user; a PKCS#11 module is loaded by a program of its own,
// digestd-pkcs11, for it is somebody else's code.
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

// Signer signs SHA-256 digests with one key. Its methods may be called by
// several goroutines at a time.
//
// After a failure of the token Sign fails at once, with the same error, until
// Check has reached the key: one unreachable token must not hold up every
// package of a transaction.
type Signer interface {
	crypto.Signer // Sign takes at most SignTimeout
	io.Closer     // ends what is connected to the token; Sign fails from then on

	// Check reaches for the key, as Create and Load do not, and proves by a
	// signature that it is there.
	Check(ctx context.Context) error
	// Release ends what is connected to the token, until it is needed again: some
	// have one user at a time.
	Release()
	// Failure is what made the last Sign or Check fail, nil if it did not.
	Failure() error
	// String says for people where the key is.
	String() string
}

// SignTimeout bounds one Sign: package managers wait for it, at most ten seconds.
const SignTimeout = 5 * time.Second

// createTimeout bounds Create; small tokens need many seconds for a key.
const createTimeout = 40 * time.Second

// maxKeyFile bounds what Load reads.
const maxKeyFile = 16 << 10

var errClosed = errors.New("cannot sign: the key was closed")

// CheckPlace reports whether where is a place that Create understands. It
// touches no token.
func CheckPlace(where string) error {
	_, err := parsePlace(where)
	return err
}

// place is where new keys are made.
type place interface {
	// create makes a key and returns its file.
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

// Create makes a P-256 key in where, and returns the content of its file: a PEM
// block with the key (PKCS#8) if where is "", with the key as the TPM alone can
// read it if it is "tpm:…", and the URI of the key if it is "pkcs11:…". A key in
// a token or TPM cannot be read out of it.
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

// Load opens the key of a file that Create made, or of any PKCS#8 file, whose
// public key is known to be public. That a token has it is found out when it is
// needed.
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

// remoteKey is a public key as keys outside of files have it.
func remoteKey(public crypto.PublicKey) (*ecdsa.PublicKey, error) {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("the certificate is of %T, but keys outside of files are on P-256", public)
	}
	return key, nil
}
