// SPDX-License-Identifier: Apache-2.0

package kernel_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/keyringtest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// certificate makes one as digestd makes its own.
func certificate(t *testing.T, name string, bits int) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, SubjectKeyId: make([]byte, 20),
	}
	rand.Read(template.SubjectKeyId)
	var der []byte
	if bits > 0 {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		if der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
			t.Fatal(err)
		}
	} else {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A certificate comes into the keyring of the kernel that runs, is seen there and
// leaves it.
func TestKeyringOfThisKernel(t *testing.T) {
	needs.Root(t)
	id := keyringtest.IMA(t)
	ks := kernel.NewKeyrings()
	ring, err := ks.Find(kernel.RingIMAOpen)
	if err != nil {
		t.Fatal(err)
	}
	if ring.ID != id || !ring.Writable() {
		t.Errorf("found %+v, made %08x", ring, id)
	}
	want := map[string]string{}
	for i, bits := range []int{0, 2048} {
		cert := certificate(t, fmt.Sprintf("signer: of lists %d", i), bits)
		err := ring.AddCertificate(cert.Raw)
		if bits == 0 && errors.Is(err, unix.ENOENT) {
			t.Log(err) // built without ECDSA
			continue
		}
		if err == nil {
			err = ring.AddCertificate(cert.Raw) // which is there
		}
		if err != nil {
			t.Fatal(err)
		}
		want[hex.EncodeToString(cert.SubjectKeyId)] = cert.Subject.CommonName
	}
	keys, err := ring.Keys()
	if err != nil || len(keys) != len(want) {
		t.Fatalf("%+v, %v", keys, err)
	}
	for _, k := range keys {
		subject, keyID, ok := k.Certificate()
		if !ok || want[keyID] != subject {
			t.Errorf("%+v is %q %q", k, subject, keyID)
		}
		if kind := ks.Kinds()[k.ID]; !strings.HasPrefix(kind, "rsa") && !strings.HasPrefix(kind, "ecdsa") {
			t.Errorf("%q is of kind %q", subject, kind)
		}
		if a := k.Algorithm(); a != "nistp256" && a != "rsa2048" {
			t.Errorf("%q has algorithm %q", subject, a)
		}
	}
	var refused *kernel.RefusedError
	if err := ring.AddCertificate([]byte("no certificate")); !errors.As(err, &refused) {
		t.Errorf("nonsense was not refused: %v", err)
	}
	for _, k := range keys {
		for range 2 {
			if err := ring.Unlink(k.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if ids, err := ring.IDs(); err != nil || len(ids) > 0 {
		t.Errorf("left: %v, %v", ids, err)
	}
}

// The maker of a key chooses its description. Lines of /proc/keys that he makes up there lead
// to no keyring.
func TestForgedLinesOfProcKeys(t *testing.T) {
	keyringtest.IMA(t) // so that keys are within reach
	ks := kernel.NewKeyrings()
	before, err := ks.FindAll(kernel.Rings()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range kernel.Rings() {
		keyringtest.InRootsSession(func() {
			// A keyring of ours, and a line that has it for the kernel's.
			own, err := unix.AddKey("keyring", "forged", nil, unix.KEY_SPEC_USER_KEYRING)
			if err != nil {
				t.Error(err)
				return
			}
			line := fmt.Sprintf("x\n%08x I------     1 perm 1f0b0000     0     0 keyring   %s: 1\n", own, name)
			forged, err := unix.AddKey("user", line, []byte("x"), unix.KEY_SPEC_USER_KEYRING)
			if err != nil {
				t.Error(err)
				return
			}
			defer unix.KeyctlInt(unix.KEYCTL_UNLINK, forged, unix.KEY_SPEC_USER_KEYRING, 0, 0)
			defer unix.KeyctlInt(unix.KEYCTL_UNLINK, own, unix.KEY_SPEC_USER_KEYRING, 0, 0)
			after, err := kernel.NewKeyrings().FindAll(kernel.Rings()...)
			if err != nil || len(after) != len(before) {
				t.Errorf("%s: %v, %v; before: %v", name, after, err, before)
			}
			for _, r := range after {
				if r.ID == own {
					t.Errorf("the forged keyring passes for %s", r.Name())
				}
			}
		})
	}
}

// Nobody here can sign what .blacklist takes; it is refused in words.
func TestBlacklistRefuses(t *testing.T) {
	keyringtest.IMA(t)
	ks := kernel.NewKeyrings()
	ring, err := ks.Find(kernel.RingBlacklist)
	if errors.Is(err, kernel.ErrNoKeyring) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	entry := "bin:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	err = ring.AddBlacklisted(entry, []byte{0x30, 0})
	var refused *kernel.RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("not refused: %v", err)
	}
	if !ring.Writable() && !errors.Is(err, unix.EACCES) {
		t.Errorf("refused by %v", err)
	}
	t.Log(err)
	open, err := ks.Find(kernel.RingIMAOpen)
	if err != nil {
		t.Fatal(err)
	}
	if err := open.AddBlacklisted(entry, nil); err == nil {
		t.Error("another keyring took an entry")
	}
}

// If the kernel reports changes it reports this one; otherwise the error comes at once.
func TestWatch(t *testing.T) {
	needs.Root(t)
	keyringtest.IMA(t)
	ks := kernel.NewKeyrings()
	ring, err := ks.Find(kernel.RingIMAOpen)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	changed, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- ring.Watch(ctx, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	if !ks.Notifications() {
		if err := <-ended; !errors.Is(err, kernel.ErrNoNotifications) {
			t.Errorf("got %v", err)
		}
		return
	}
	for told := false; !told; {
		if err := ring.AddCertificate(certificate(t, "another", 0).Raw); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
			told = true
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Only root's own _ima counts: others may give keyrings of theirs that name.
func TestKeyringOfAnotherSession(t *testing.T) {
	own := keyringtest.IMA(t)
	made, end := make(chan error), make(chan struct{})
	defer close(end)
	for range 16 { // one of which the kernel names after root's
		go func() {
			runtime.LockOSThread() // never unlocked: its keyring goes with it
			_, err := unix.AddKey("keyring", "_ima", nil, unix.KEY_SPEC_THREAD_KEYRING)
			made <- err
			<-end
		}()
		if err := <-made; err != nil {
			t.Fatal(err)
		}
	}
	ring, err := kernel.NewKeyrings().Find(kernel.RingIMAOpen)
	if err != nil || ring.ID != own {
		t.Errorf("found %+v, %v; root's is %08x", ring, err, own)
	}
}
