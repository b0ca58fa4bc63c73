// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"sync"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/attest"
	"github.com/digestd/digestd/kernel/tpm"
)

// AnchorStatus is that of the machine's variants: anchored, older, other, noTPM; else of one
// that has an anchor once it was enabled.
func (m *Daemon) AnchorStatus() api.Anchor {
	m.mu.Lock()
	defer m.mu.Unlock()
	on := api.Anchor{Where: "tpm:", Standing: api.AnchorDone, Bound: true, Counter: "000b" + hexA, Epoch: 41, Value: 41, Read: Noon, Since: Noon}
	switch m.variant {
	case "anchored":
	case "older":
		on.Standing, on.Epoch = api.AnchorOlder, 39
	case "other":
		on.Standing = api.AnchorOther
	case "tpm":
		on.Counter, on.Epoch, on.Value = hex.EncodeToString(m.anchor.counter.Name), m.anchor.epoch, m.anchor.epoch
	case "noTPM":
		on.Standing, on.Text = api.AnchorUnreachable, "cannot open TPM: no such file"
	default:
		if !m.anchor.on {
			return api.Anchor{Where: "off", Standing: api.AnchorNone}
		}
	}
	return on
}

// setAnchor changes whether there is an anchor.
func (m *Daemon) setAnchor(on bool) (api.Anchor, error) {
	m.mu.Lock()
	same := m.anchor.on == on
	m.anchor.on = on
	m.mu.Unlock()
	if same {
		return api.Anchor{}, api.Errorf(api.Unchanged, "it is so already")
	}
	return m.AnchorStatus(), nil
}

func (m *Daemon) AnchorEnable(_ context.Context, _ api.Actor, owner, _ string) (api.Anchor, error) {
	if owner == "wrong" {
		return api.Anchor{}, &api.Error{Code: api.Failed, Message: "the TPM's owner has a password, and it was not the one that was given",
			Advice: "give the owner's password: --owner-password-file FILE"}
	}
	return m.setAnchor(true)
}

func (m *Daemon) AnchorAccept(context.Context, api.Actor, string) (api.Anchor, error) {
	if m.AnchorStatus().Standing != api.AnchorOlder {
		return api.Anchor{}, api.Errorf(api.Unchanged, "the index is of the epoch that the counter has")
	}
	m.Vary("anchored")
	return m.AnchorStatus(), nil
}

func (m *Daemon) AnchorRebind(context.Context, api.Actor, string, string) (api.Anchor, error) {
	if m.AnchorStatus().Standing != api.AnchorOther {
		return api.Anchor{}, api.Errorf(api.Unchanged, "the index is bound to the counter that is in the TPM")
	}
	m.Vary("anchored")
	return m.AnchorStatus(), nil
}

func (m *Daemon) AnchorDisable(_ context.Context, _ api.Actor, _ string, leave bool, _ string) (api.Anchor, error) {
	return m.setAnchor(false)
}

// machineKey is the key that signs quotes, with its certificate.
var machineKey = sync.OnceValues(func() (*ecdsa.PrivateKey, []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	cert, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return key, cert
})

// AnchorQuote is of a machine without a TPM; one that is "older" fell behind.
func (m *Daemon) AnchorQuote(_ context.Context, nonce string) (string, error) {
	if err := attest.CheckNonce(nonce); err != nil {
		return "", api.Errorf(api.InvalidArgument, "%v", err)
	}
	s := attest.Statement{Format: attest.StatementFormat, Version: attest.Version, Nonce: nonce, When: Noon, Digestd: api.Version, Anchor: m.AnchorStatus(),
		Policy: hexA, Index: attest.Index{Commit: 9, Log: []api.LogHead{{Room: "decisions", Seq: 8, Hash: hexB}}, Lists: hexB}, Guard: attest.Guard{Wanted: "enforce", Mode: "audit"}}
	if m.is("older") {
		s.Index.Commit = 5
	}
	statement, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	key, cert := machineKey()
	sig, err := key.Sign(rand.Reader, attest.Digest(statement), crypto.SHA256)
	if err != nil {
		return "", err
	}
	q := attest.Quote{Format: attest.QuoteFormat, Version: attest.Version, Statement: statement, Machine: &attest.Machine{Signature: sig, Certificate: cert}}
	if m.is("tpm") {
		var c tpm.Certificate
		err := m.chip(func(conn *tpm.Conn) (err error) {
			c, err = conn.Certify(m.anchor.counter, attest.Digest(statement))
			return err
		})
		if err != nil {
			return "", err
		}
		q.TPM = &attest.TPM{Attest: c.Attest, Signature: c.Signature, Key: c.Key}
	}
	document, err := json.Marshal(q)
	return string(document), err
}
