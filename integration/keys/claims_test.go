// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"bytes"
	"crypto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/digestd/digestd/integration/pkgtest"
)

// dearmored is the content of an armored file.
func dearmored(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, err := armor.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(block.Body); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// claim is the certificate of somebody who says that the key of another is a signing
// subkey of his, and cannot prove it.
func claim(t *testing.T, victim []byte) []byte {
	t.Helper()
	keys, err := openpgp.ReadKeyRing(bytes.NewReader(victim))
	if err != nil {
		t.Fatal(err)
	}
	config := &packet.Config{DefaultHash: crypto.SHA256, RSABits: 2048, Time: func() time.Time { return time.Now().Add(-time.Minute) }}
	e, err := openpgp.NewEntity("Third Party", "", "third@example.org", config)
	if err != nil {
		t.Fatal(err)
	}
	e.Subkeys = nil
	var out bytes.Buffer
	if err := e.Serialize(&out); err != nil {
		t.Fatal(err)
	}
	sub := *keys[0].PrimaryKey
	sub.IsSubkey = true
	sig := &packet.Signature{Version: 4, SigType: packet.SigTypeSubkeyBinding, PubKeyAlgo: e.PrimaryKey.PubKeyAlgo, Hash: crypto.SHA256,
		CreationTime: config.Now(), FlagsValid: true, FlagSign: true, IssuerKeyId: &e.PrimaryKey.KeyId}
	if err := sig.SignKey(&sub, e.PrivateKey, config); err != nil {
		t.Fatal(err)
	}
	if err := sub.Serialize(&out); err != nil {
		t.Fatal(err)
	}
	if err := sig.Serialize(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (m *machine) trustFile(name string, data []byte) {
	m.Helper()
	m.OK(os.WriteFile(m.In("keys.d", name), data, 0o644))
}

// TestNobodyKeepsAKeyByClaimingIt: the lists of a key leave with it, even if another
// certificate claims that key.
func TestNobodyKeepsAKeyByClaimingIt(t *testing.T) {
	for _, act := range []string{"removed from the directory", "removed from rpm's keyring", "revoked by the administrator"} {
		t.Run(act, func(t *testing.T) {
			m := newMachine(t, &host, "rpmdb")
			o := theVendor(t)
			m.trustFile("third.gpg", claim(t, dearmored(t, o.cert)))
			if act == "removed from the directory" {
				m.copyTo("keys.d", o.cert)
			} else {
				m.mustRPM("rpmkeys", "--import", o.cert)
			}
			m.Start()
			m.mustRPM("rpm", "-U", o.packages[0])
			m.wantLists("installation", "hello")
			if said := m.Must("keys", "show", thirdOf(m)); strings.Contains(said, o.fingerprint) {
				t.Errorf("the third party has the key as its subkey:\n%s", said)
			}
			switch act {
			case "removed from the directory":
				if err := os.Remove(m.In("keys.d", filepath.Base(o.cert))); err != nil {
					t.Fatal(err)
				}
				m.Must("sync")
			case "removed from rpm's keyring":
				m.mustRPM("rpm", "-e", strings.TrimSpace(m.mustRPM("rpm", "-q", "gpg-pubkey")))
			default:
				m.Must("keys", "revoke", o.fingerprint, "--reason", "test")
				m.mustNotHave("hello") // at once, not when somebody compares
			}
			m.wantLists(act)
		})
	}
}

// thirdOf returns the fingerprint of the certificate that claims another.
func thirdOf(m *machine) string {
	m.Helper()
	for line := range strings.Lines(m.Must("keys")) {
		if strings.Contains(line, "Third Party") {
			for _, word := range strings.Fields(line) {
				if len(word) >= 16 && strings.Trim(word, "0123456789abcdef") == "" {
					return word
				}
			}
		}
	}
	m.Fatalf("no third party in:\n%s", m.Must("keys"))
	return ""
}

func (m *machine) mustNotHave(name string) {
	m.Helper()
	if _, err := os.Stat(filepath.Join(m.Lists(), "tlv-"+name+"-0:1-1.noarch")); err == nil {
		m.Errorf("the list of %s is still there", name)
	}
}

// TestUnreadableRevocation is one by GnuPG, over a hash that is not supported: it counts
// until an administrator overrules it, which a restart remembers.
func TestUnreadableRevocation(t *testing.T) {
	m := newMachine(t, &host, "rpmdb")
	o := theVendor(t)
	m.copyTo("keys.d", o.cert)
	m.Start()
	m.mustRPM("rpm", "-U", o.packages[0])
	m.wantLists("installation", "hello")
	data := dearmored(t, o.revoked)
	changed := false
	for at := 0; at+4 < len(data) && !changed; at++ {
		// Version 4, key revocation, RSA, SHA-512 or SHA-256.
		if bytes.HasPrefix(data[at:], []byte{4, 0x20, 1, 10}) || bytes.HasPrefix(data[at:], []byte{4, 0x20, 1, 8}) {
			data[at+3], changed = 3, true // RIPEMD-160
		}
	}
	if !changed {
		t.Fatal("no revocation in the certificate")
	}
	m.trustFile("again.gpg", data)
	m.Must("sync")
	m.wantLists("revocation over RIPEMD-160")
	if said := m.Must("keys", "show", o.fingerprint); !strings.Contains(said, "cannot be verified") {
		t.Errorf("digestctl keys show says\n%s", said)
	}
	m.Must("keys", "restore", o.fingerprint, "--reason", "the vendor says that it is a mistake")
	m.wantLists("restoration", "hello")
	m.mustRPM("rpm", "-U", o.packages[1])
	m.wantLists("restoration", "hello", "later")
	m.Stop()
	m.Start()
	m.Must("sync")
	m.wantLists("restart", "hello", "later")
	// One that can be read is not overruled.
	m.copyTo("keys.d", o.revoked)
	m.Must("sync")
	m.wantLists("revocation")
	if out, err := m.Digestctl("keys", "restore", o.fingerprint, "--reason", "no").CombinedOutput(); err == nil {
		t.Errorf("the owner's revocation was lifted:\n%s", out)
	}
}

// TestHeldKey: a revocation by nobody known takes nothing away, and lets nothing come.
func TestHeldKey(t *testing.T) {
	m := newMachine(t, &host, "rpmdb")
	o := theVendor(t)
	m.copyTo("keys.d", o.cert)
	m.Start()
	m.mustRPM("rpm", "-U", o.packages[0])
	m.wantLists("installation", "hello")
	m.trustFile("again.gpg", append(dearmored(t, o.cert), 0xc2, 6, 9, 0x20, 1, 8, 0, 0)) // of version 9
	m.Must("sync")
	m.mustRPM("rpm", "-U", o.packages[1])
	m.Must("sync")
	m.wantLists("revocation of version 9", "hello")
	if said, _, _ := m.Ctl("status"); !strings.Contains(said, o.fingerprint) || !strings.Contains(said, "version 9") {
		t.Errorf("digestctl status says\n%s", said)
	}
	if said := m.Must("list", "withheld"); !strings.Contains(said, "later") {
		t.Errorf("withheld:\n%s", said)
	}
	m.Stop()
	m.Start()
	m.Must("sync")
	m.wantLists("restart", "hello")
	m.Must("keys", "restore", o.fingerprint, "--reason", "asked its owner")
	m.wantLists("restoration", "hello", "later")
	if said, _, _ := m.Ctl("status"); strings.Contains(said, "version 9") {
		t.Errorf("digestctl status still says\n%s", said)
	}
}

// TestGraverRevocation: "superseded since" a later time, then since an earlier one.
func TestGraverRevocation(t *testing.T) {
	m := newMachine(t, &host, "rpmdb")
	g := newGnuPG(t, "rsa2048")
	at := func(time string) []byte {
		cert := g.run(time, "y\n2\n\ny\n", "--gen-revoke", g.key)
		block, err := armor.Decode(bytes.NewReader(cert))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(block.Body); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	// The package is by another time's signature: between the two.
	p := pkgtest.Package{Name: "hello", Version: "1", Release: "1", Arch: "noarch", Files: map[string]string{"/opt/hello": "hello"}}
	file, err := p.Build(m.Dir)
	m.OK(err)
	gpg, err := exec.LookPath("gpg")
	m.OK(err)
	sign := exec.Command("rpmsign", "--define", "__gpg "+gpg, "--define", "_gpg_name "+g.key, "--define", "_gpg_path "+g.home,
		"--define", "_gpg_sign_cmd_extra_args --no-default-keyring --keyring "+g.keyring+" --pinentry-mode loopback --passphrase  --faked-system-time "+march+"!", "--addsign", file)
	if out, err := sign.CombinedOutput(); err != nil {
		t.Fatalf("rpmsign: %v\n%s", err, out)
	}
	m.trustFile("vendor.gpg", append(bytes.Clone(g.base), at(july)...))
	m.Start()
	m.mustRPM("rpm", "-U", file)
	m.wantLists("superseded in July", "hello")
	m.trustFile("vendor.gpg", append(append(bytes.Clone(g.base), at(july)...), at(february)...))
	m.Must("sync")
	m.wantLists("superseded in February")
	if said := m.Must("keys", "show", strings.ToLower(g.key)); !strings.Contains(said, "2024-02-01") {
		t.Errorf("digestctl keys show says\n%s", said)
	}
}
