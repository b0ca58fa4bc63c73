// SPDX-License-Identifier: Apache-2.0

package query_test

import (
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/integration/keyringtest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// noKeys is a kernel whose keys are out of reach, as in most containers.
type noKeys struct{}

func (noKeys) Find(string) (kernel.Keyring, error)         { return kernel.Keyring{}, kernel.ErrNoKeys }
func (noKeys) FindAll(...string) ([]kernel.Keyring, error) { return nil, kernel.ErrNoKeys }
func (noKeys) Kinds() map[int]string                       { return nil }
func (noKeys) Notifications() bool                         { return false }

// Keys are those that vouch or ever did, and the one that signs lists.
func TestKeys(t *testing.T) {
	m := machine(t)
	m.Keyrings = noKeys{}
	vendor, other := daemontest.Key(t, "vendor"), daemontest.Key(t, "other")
	m.Import(t, other)
	m.Sync(t)
	m.Forget(t, other)
	m.Sync(t)
	ski := m.Status().Certificate.SKI
	all, err := m.Query.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, k := range all {
		got[k.Fingerprint] = k.Use + " " + k.State
	}
	want := map[string]string{vendor.Fingerprint(): " trusted", other.Fingerprint(): " revoked", ski: "lists trusted"}
	if len(got) != len(want) {
		t.Errorf("the keys are %v, want %v", got, want)
	}
	for id, how := range want {
		if got[id] != how {
			t.Errorf("key %s is %q, want %q", id, got[id], how)
		}
	}
	if !slices.IsSortedFunc(all, func(a, b api.Key) int { return strings.Compare(a.Fingerprint, b.Fingerprint) }) {
		t.Errorf("they are not by fingerprint: %+v", all)
	}
	id := vendor.Fingerprint()
	for _, name := range []string{id, strings.ToUpper(id), "0x" + id[len(id)-8:], id[:20] + " " + id[20:]} {
		if k, err := m.Key(t.Context(), name); err != nil || k.Fingerprint != id || k.Lists != 1 {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
	for _, name := range []string{"", id[len(id)-7:], strings.Repeat("0", 40)} {
		_, err := m.Key(t.Context(), name)
		wantCode(t, name, err, api.NotFound)
	}
	if _, there := m.InKernel(ski); there {
		t.Error("keys that are out of reach are known")
	}
	if k := m.Kernel(); k.Keys != kernel.ErrNoKeys.Error() || k.Keyring != "" || k.Enrolled || k.Release == "" {
		t.Errorf("the kernel is %+v", k)
	}
}

// The keys in the running kernel's keyring for IMA are among the keys.
func TestKeysOfThisKernel(t *testing.T) {
	needs.Root(t)
	ring := keyringtest.IMA(t)
	m := machine(t)
	if m.Kernel().Keyring == kernel.RingIMA {
		t.Skip("this kernel has .ima, which takes no certificate of a test")
	}
	m.Stop()
	cert := m.SignByRSA(t)
	m.Start(t)
	ski := m.Status().Certificate.SKI
	if k := m.Kernel(); k.Keys != "" || k.Keyring != kernel.RingIMAOpen || !k.KeyringOpen || k.Enrolled {
		t.Fatalf("the kernel is %+v", k)
	}
	if _, there := m.InKernel(ski); there {
		t.Error("a certificate is there that was not added")
	}
	stranger, _ := daemontest.Certificate(t, 2048)
	for _, c := range []*x509.Certificate{cert, stranger} {
		var err error
		keyringtest.InRootsSession(func() { _, err = unix.AddKey("asymmetric", "", c.Raw, ring) })
		if err != nil {
			t.Fatal(err)
		}
	}
	ima := []string{kernel.RingIMAOpen}
	if k := m.Kernel(); !k.Enrolled {
		t.Errorf("with the certificate, the kernel is %+v", k)
	}
	if k, there := m.InKernel(ski); !there || k.Owner != cert.Subject.CommonName || k.Algorithm != "rsa2048" || !slices.Equal(k.Keyrings, ima) {
		t.Errorf("the certificate is %+v, %v", k, there)
	}
	if k, err := m.Key(t.Context(), ski); err != nil || k.Use != api.UseLists || !slices.Equal(k.Keyrings, ima) {
		t.Errorf("the key that signs is %+v, %v", k, err)
	}
	other := hex.EncodeToString(stranger.SubjectKeyId)
	for _, name := range []string{other, strings.ToUpper(other), "0x" + other, other[:20] + " " + other[20:], other[30:]} {
		if k, err := m.Key(t.Context(), name); err != nil || k.Fingerprint != other || k.Use != api.UseKernel || !slices.Equal(k.Keyrings, ima) {
			t.Errorf("a key of the kernel's alone, as %s, is %+v, %v", name, k, err)
		}
	}
	all, err := m.Query.Keys(t.Context())
	if err != nil || !slices.ContainsFunc(all, func(k api.Key) bool { return k.Fingerprint == other }) {
		t.Errorf("it is not among %+v, %v", all, err)
	}
}
