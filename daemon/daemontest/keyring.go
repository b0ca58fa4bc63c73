// SPDX-License-Identifier: Apache-2.0

package daemontest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/keyringtest"
	"github.com/digestd/digestd/kernel"
)

// Blacklist is a keyring of the kernel that runs, in the place of its .blacklist, into
// which nothing comes without a signature of the kernel's vendor.
type Blacklist struct {
	*kernel.Keyrings
	Hidden atomic.Bool // there is none
	ring   kernel.Keyring
}

// Blacklist has a keyring, which is empty, in the place of the kernel's .blacklist, until
// the daemon stops. Only one test of the machine has it at a time.
func (m *Machine) Blacklist(t testing.TB) *Blacklist {
	t.Helper()
	keyringtest.IMA(t)
	b := &Blacklist{Keyrings: kernel.NewKeyrings()}
	var err error
	if b.ring, err = b.Keyrings.Find(kernel.RingIMAOpen); err != nil {
		t.Fatal(err)
	}
	m.Keyrings = b
	return b
}

// Find finds the keyring as .blacklist, and no other.
func (b *Blacklist) Find(name string) (kernel.Keyring, error) {
	if name != kernel.RingBlacklist || b.Hidden.Load() {
		return kernel.Keyring{}, fmt.Errorf("%s: %w", name, kernel.ErrNoKeyring)
	}
	return b.ring, nil
}

// FindAll finds no keyring into which certificates could come.
func (b *Blacklist) FindAll(...string) ([]kernel.Keyring, error) { return nil, nil }

// Add puts a certificate into it that has this subject key identifier, of an RSA key: not
// every kernel knows others.
func (b *Blacklist) Add(t testing.TB, subjectKeyID []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "revoked"}, SubjectKeyId: subjectKeyID,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err == nil {
		err = b.ring.AddCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
}
