// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/go-tpm/tpm2"
)

// The range of indices for the owner of a TPM (Registry of Reserved TPM 2.0 Handles and
// Localities, 2.2), and the default.
const (
	firstIndex, lastIndex = uint32(0x01800000), uint32(0x01bfffff)
	defaultIndex          = uint32(0x0181d1e5)
)

// CounterPlace is the place of a counter.
type CounterPlace struct {
	Device string
	Index  uint32 // in the TPM's nonvolatile memory
}

// ParseCounterPlace parses "tpm:", optionally followed by device=PATH and index=NUMBER,
// separated by a semicolon.
func ParseCounterPlace(where string) (CounterPlace, error) {
	p := CounterPlace{Index: defaultIndex}
	if !strings.HasPrefix(where, Scheme) {
		return p, fmt.Errorf("no counter can be in %.80q: want %s…", where, Scheme)
	}
	var err error
	p.Device, err = ParsePlace(where, "index", func(value string) (err error) {
		p.Index, err = parseIndex(value)
		return err
	})
	if err != nil {
		return p, fmt.Errorf("no counter can be in %.80q: %w", where, err)
	}
	return p, nil
}

func parseIndex(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil || uint32(n) < firstIndex || uint32(n) > lastIndex {
		return 0, fmt.Errorf("index %.40q: want one that the owner gives out, %#x to %#x", text, firstIndex, lastIndex)
	}
	return uint32(n), nil
}

// Reasons why a TPM refuses a command. Other errors may be temporary.
var (
	ErrNoCounter = errors.New("the TPM has no such counter")
	ErrTaken     = errors.New("the index is in use")
	ErrFull      = errors.New("the TPM has no room left for a counter")
	ErrOwner     = errors.New("the TPM's owner has a password, and it was not the one that was given")
	// ErrEndorsement is about the hierarchy of the keys that identify a TPM.
	ErrEndorsement = errors.New("the TPM's endorsement hierarchy has a password, and it was not the one that was given")
	ErrAuth        = errors.New("the counter does not accept its secret")
)

// SecretSize is the size of a counter's secret and of its mark, in bytes.
const SecretSize = 32

// NewSecret returns a random secret of SecretSize bytes. None of its bytes is zero, because a
// session of go-tpm takes a zero for the end of a secret.
func NewSecret() []byte {
	secret := make([]byte, 0, SecretSize)
	var more [SecretSize]byte
	for len(secret) < SecretSize {
		rand.Read(more[:])
		for _, b := range more {
			if b != 0 && len(secret) < SecretSize {
				secret = append(secret, b)
			}
		}
	}
	return secret
}

// Counter is a counter of eight bytes that can only rise. A new one starts above every counter
// that the TPM ever had.
type Counter struct {
	Index uint32
	Name  []byte // computed by the TPM from everything except the value
	Auth  []byte // its secret, SecretSize bytes
}

// publicOf returns the public area of a counter. mark makes its Name unique: it is a policy that
// nothing satisfies, and that no attribute permits anybody to use.
func publicOf(index uint32, mark []byte, written bool) tpm2.TPMSNVPublic {
	return tpm2.TPMSNVPublic{
		NVIndex: tpm2.TPMHandle(index), NameAlg: tpm2.TPMAlgSHA256, AuthPolicy: tpm2.TPM2BDigest{Buffer: mark}, DataSize: 8,
		Attributes: tpm2.TPMANV{NT: tpm2.TPMNTCounter, AuthRead: true, AuthWrite: true, NoDA: true, Written: written},
	}
}

// CounterName returns the Name of a counter after its first increment.
func CounterName(index uint32, mark []byte) ([]byte, error) {
	p := publicOf(index, mark, true)
	name, err := tpm2.NVName(&p)
	if err != nil {
		return nil, fmt.Errorf("cannot name the counter: %w", err)
	}
	return name.Buffer, nil
}

// Define makes a counter, which has no value before its first increment. owner is the password
// of the TPM's owner, empty for none. Errors include [ErrTaken], [ErrFull] and [ErrOwner].
func (t *Conn) Define(owner []byte, index uint32, auth, mark []byte) error {
	if len(auth) != SecretSize || len(mark) != SecretSize || bytes.IndexByte(auth, 0) >= 0 {
		return errors.New("cannot make a counter: its secret has the wrong form")
	}
	if err := t.FlushAll(); err != nil {
		return err
	}
	// The secret is encrypted for the TPM, so that nobody on the bus learns it.
	salt, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: session(owner)},
		InPublic:      tpm2.New2B(primary),
	}.Execute(t)
	if err != nil {
		return fmt.Errorf("cannot make a counter: %w", plain(err, ErrOwner))
	}
	defer t.forget(salt.ObjectHandle)
	public, err := salt.OutPublic.Contents()
	if err != nil {
		return fmt.Errorf("cannot make a counter: %w", err)
	}
	_, err = tpm2.NVDefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner,
			Auth: session(owner, tpm2.Salted(salt.ObjectHandle, *public), tpm2.AESEncryption(128, tpm2.EncryptIn))},
		Auth:       tpm2.TPM2BAuth{Buffer: auth},
		PublicInfo: tpm2.New2B(publicOf(index, mark, false)),
	}.Execute(t)
	if err != nil {
		return fmt.Errorf("cannot make a counter: %w", plain(err, ErrOwner))
	}
	return nil
}

// Undefine removes the object at an index. Errors include [ErrNoCounter] and [ErrOwner].
func (t *Conn) Undefine(owner []byte, index uint32) error {
	r, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(index)}.Execute(t)
	if err == nil {
		_, err = tpm2.NVUndefineSpace{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: session(owner)},
			NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(index), Name: r.NVName},
		}.Execute(t)
	}
	if err != nil {
		return fmt.Errorf("cannot remove the counter: %w", plain(err, ErrOwner))
	}
	return nil
}

// NameAt returns the Name of the object at an index, and whether it has this mark. The error is
// [ErrNoCounter] if there is none.
func (t *Conn) NameAt(index uint32, mark []byte) (name []byte, marked bool, err error) {
	r, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(index)}.Execute(t)
	if err != nil {
		return nil, false, fmt.Errorf("cannot find the counter: %w", plain(err, nil))
	}
	p, err := r.NVPublic.Contents()
	if err != nil {
		return nil, false, fmt.Errorf("cannot find the counter: %w", err)
	}
	return r.NVName.Buffer, len(mark) > 0 && bytes.Equal(p.AuthPolicy.Buffer, mark), nil
}

// ReadCounter returns the value of c. The TPM proves that it knows the secret. Errors include
// [ErrNoCounter], also for a counter without a value, and [ErrAuth].
func (t *Conn) ReadCounter(c Counter) (uint64, error) {
	r, err := tpm2.NVRead{AuthHandle: c.auth(), NVIndex: c.handle(), Size: 8}.Execute(t)
	if err != nil {
		return 0, fmt.Errorf("cannot read the counter: %w", plain(err, ErrAuth))
	}
	if len(r.Data.Buffer) != 8 {
		return 0, fmt.Errorf("cannot read the counter: it has %d bytes, want 8", len(r.Data.Buffer))
	}
	return binary.BigEndian.Uint64(r.Data.Buffer), nil
}

// IncrementCounter raises c by one. After an error it may have risen nevertheless. Errors are
// those of [Conn.ReadCounter].
func (t *Conn) IncrementCounter(c Counter) error {
	if _, err := (tpm2.NVIncrement{AuthHandle: c.auth(), NVIndex: c.handle()}).Execute(t); err != nil {
		return fmt.Errorf("cannot increment the counter: %w", plain(err, ErrAuth))
	}
	return nil
}

func (c Counter) handle() tpm2.NamedHandle {
	return tpm2.NamedHandle{Handle: tpm2.TPMHandle(c.Index), Name: tpm2.TPM2BName{Buffer: c.Name}}
}

func (c Counter) auth() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: tpm2.TPMHandle(c.Index), Name: tpm2.TPM2BName{Buffer: c.Name}, Auth: session(c.Auth)}
}

// session returns a session by which both sides prove that they know a secret.
func session(auth []byte, more ...tpm2.AuthOption) tpm2.Session {
	return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, append([]tpm2.AuthOption{tpm2.Auth(auth)}, more...)...)
}

// plain translates a TPM's error into one of this package if there is one; auth is the error for
// a wrong secret.
func plain(err, auth error) error {
	for _, known := range []struct {
		code tpm2.TPMRC
		word error
	}{
		{tpm2.TPMRCHandle, ErrNoCounter}, {tpm2.TPMRCNVUninitialized, ErrNoCounter},
		{tpm2.TPMRCNVDefined, ErrTaken}, {tpm2.TPMRCNVSpace, ErrFull},
		{tpm2.TPMRCAuthFail, auth}, {tpm2.TPMRCBadAuth, auth},
	} {
		if known.word != nil && errors.Is(err, known.code) {
			return known.word
		}
	}
	return err
}
