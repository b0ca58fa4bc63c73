// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"os"

	"github.com/digestd/digestd/daemon/signer/token"
	"github.com/miekg/pkcs11"
)

// p256 is the named curve secp256r1, as CKA_EC_PARAMS has it.
var p256 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}

// module is a loaded module with a session on one token and a key in it.
type module struct {
	ctx     *pkcs11.Ctx
	session pkcs11.SessionHandle
	key     pkcs11.ObjectHandle
	open    bool
}

func (m *module) serve(r request) (token.Type, []byte, error) {
	switch r.kind {
	case token.Create, token.Open:
		if m.ctx != nil {
			return 0, nil, errors.New("a key is open already")
		}
		u, err := token.ParseURI(string(r.payload))
		if err == nil && u.ID == nil {
			err = errors.New("the URI names no key: id= is missing")
		}
		if err == nil {
			err = m.connect(u)
		}
		if err != nil {
			return 0, nil, err
		}
		if r.kind == token.Create {
			point, err := m.create(u)
			return token.Created, point, err
		}
		m.key, err = m.find(u)
		m.open = err == nil
		return token.Opened, nil, err
	case token.Sign:
		sig, err := m.sign(r.payload)
		return token.Signature, sig, err
	}
	return 0, nil, fmt.Errorf("%#02x is no request", uint8(r.kind))
}

// connect opens a session on the token that u names, and logs in.
func (m *module) connect(u token.URI) error {
	if _, err := os.Stat(u.Module); err != nil {
		return fmt.Errorf("cannot load PKCS#11 module: %w", err)
	}
	if m.ctx = pkcs11.New(u.Module); m.ctx == nil {
		return fmt.Errorf("cannot load PKCS#11 module %s: it is none, or lacks a library that it needs; see ldd", u.Module)
	}
	if err := m.ctx.Initialize(); err != nil {
		return fmt.Errorf("cannot initialise PKCS#11 module %s: %w", u.Module, err)
	}
	slot, err := m.slot(u)
	if err != nil {
		return err
	}
	m.session, err = m.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return fmt.Errorf("cannot open a session on token %q: %w", u.Token, err)
	}
	if u.PIN == "" {
		return nil
	}
	pin, err := token.ReadPIN(u.PIN)
	if err != nil {
		return err
	}
	if err := m.ctx.Login(m.session, pkcs11.CKU_USER, pin); err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)) {
		return fmt.Errorf("cannot log in to token %q with the PIN in %s: %w", u.Token, u.PIN, err)
	}
	return nil
}

// slot finds the one token with that label.
func (m *module) slot(u token.URI) (uint, error) {
	slots, err := m.ctx.GetSlotList(true)
	if err != nil {
		return 0, fmt.Errorf("cannot list the tokens of PKCS#11 module %s: %w", u.Module, err)
	}
	var found []uint
	var labels []string
	for _, slot := range slots {
		info, err := m.ctx.GetTokenInfo(slot)
		if err != nil || info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			continue
		}
		labels = append(labels, info.Label)
		if info.Label == u.Token {
			found = append(found, slot)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return 0, fmt.Errorf("PKCS#11 module %s has %d tokens %q: their labels must differ", u.Module, len(found), u.Token)
	}
	return 0, fmt.Errorf("PKCS#11 module %s has no token %q, only %q", u.Module, u.Token, labels)
}

// create makes a key that never leaves the token, and returns its point.
func (m *module) create(u token.URI) ([]byte, error) {
	public := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true),
		pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, p256),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, u.Object),
		pkcs11.NewAttribute(pkcs11.CKA_ID, u.ID),
	}
	private := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, u.Object),
		pkcs11.NewAttribute(pkcs11.CKA_ID, u.ID),
	}
	mechanism := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil)}
	handle, _, err := m.ctx.GenerateKeyPair(m.session, mechanism, public, private)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key in token %q: %w", u.Token, err)
	}
	values, err := m.ctx.GetAttributeValue(m.session, handle, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil)})
	if err != nil {
		return nil, fmt.Errorf("cannot read the new key of token %q: %w", u.Token, err)
	}
	point := values[0].Value
	var inner []byte
	if rest, err := asn1.Unmarshal(point, &inner); err == nil && len(rest) == 0 {
		point = inner // as the standard has it; some modules leave the wrapping out
	}
	if len(point) != token.PointSize {
		return nil, fmt.Errorf("cannot read the new key of token %q: its point has %d bytes, want %d", u.Token, len(point), token.PointSize)
	}
	return point, nil
}

// find returns the one private key that u names.
func (m *module) find(u token.URI) (pkcs11.ObjectHandle, error) {
	fail := func(err error) (pkcs11.ObjectHandle, error) {
		return 0, fmt.Errorf("cannot find %s: %w", u.Key(), err)
	}
	err := m.ctx.FindObjectsInit(m.session, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, u.Object),
		pkcs11.NewAttribute(pkcs11.CKA_ID, u.ID),
	})
	if err != nil {
		return fail(err)
	}
	handles, _, err := m.ctx.FindObjects(m.session, 2)
	if err = errors.Join(err, m.ctx.FindObjectsFinal(m.session)); err != nil {
		return fail(err)
	}
	if len(handles) != 1 {
		return fail(fmt.Errorf("%d private keys have that label and id", len(handles)))
	}
	return handles[0], nil
}

func (m *module) sign(digest []byte) ([]byte, error) {
	if !m.open {
		return nil, errors.New("no key is open")
	}
	if err := m.ctx.SignInit(m.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}, m.key); err != nil {
		return nil, err
	}
	sig, err := m.ctx.Sign(m.session, digest)
	if err == nil && len(sig) != token.SignatureSize {
		err = fmt.Errorf("the module made a signature of %d bytes, want %d", len(sig), token.SignatureSize)
	}
	return sig, err
}
