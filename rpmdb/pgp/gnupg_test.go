// SPDX-License-Identifier: Apache-2.0

package pgp_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// gnupg is a GnuPG home of its own, whose clock the test sets.
type gnupg struct {
	t    *testing.T
	home string
	now  time.Time
}

func newGnuPG(t *testing.T) *gnupg {
	t.Helper()
	// Sockets have short names: t.TempDir would be too deep.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		os.RemoveAll(home)
	})
	return &gnupg{t, home, born}
}

func (g *gnupg) run(stdin string, args ...string) []byte {
	g.t.Helper()
	args = append([]string{
		"--homedir", g.home, "--no-tty", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", "",
		"--no-permission-warning", "--faked-system-time", g.now.Format("20060102T150405!"),
	}, args...)
	cmd := exec.Command("gpg", args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// generate returns the fingerprint of a new key.
func (g *gnupg) generate(user, algo, expire string) string {
	g.t.Helper()
	g.run("", "--batch", "--quick-generate-key", user, algo, "sign", expire)
	return g.fingerprints(user)[0]
}

// fingerprints returns those of the primary key and the subkeys, lower-case.
func (g *gnupg) fingerprints(user string) (prints []string) {
	g.t.Helper()
	for line := range strings.Lines(string(g.run("", "--batch", "--with-colons", "--list-keys", user))) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			prints = append(prints, strings.ToLower(fields[9]))
		}
	}
	return prints
}

func (g *gnupg) sign(key string, args ...string) []byte {
	g.t.Helper()
	return g.run(header.Magic+string(region), append(args, "--batch", "--local-user", key+"!", "--detach-sign")...)
}

func (g *gnupg) export(keys ...string) []*pgp.Cert {
	g.t.Helper()
	armored := parse(g.t, g.run("", append([]string{"--batch", "--armor", "--export"}, keys...)...))
	binary := parse(g.t, g.run("", append([]string{"--batch", "--export"}, keys...)...))
	if len(armored) != len(binary) || len(keys) > 0 && len(binary) != len(keys) {
		g.t.Fatalf("got %d certificates from armor, %d without, want %d", len(armored), len(binary), len(keys))
	}
	return binary
}

func outcome(ring *pgp.Keyring, sig []byte) string {
	result, err := ring.Verify(region, signatures(sig), today)
	if err != nil {
		return fmt.Sprintf("%T", err)
	}
	return result.KeyFingerprint
}

func TestGnuPGAlgorithms(t *testing.T) {
	g := newGnuPG(t)
	for _, test := range []struct{ algo, name, weak string }{
		{"rsa3072", "rsa3072", ""},
		{"ed25519", "ed25519", ""},
		{"nistp256", "nistp256", ""},
		{"nistp384", "nistp384", ""},
		{"rsa1024", "rsa1024", "1024 bits is too short"},
		{"dsa2048", "dsa2048", "DSA keys are not accepted"},
		{"brainpoolP256r1", "BrainpoolP256", "curve BrainpoolP256 is not accepted"},
	} {
		t.Run(test.algo, func(t *testing.T) {
			g.t = t
			key := g.generate(test.algo, test.algo, "never")
			cert := g.export(key)[0]
			if cert.Fingerprint != key || cert.UserID != test.algo || cert.Algorithm != test.name || !cert.Created.Equal(born) {
				t.Errorf("certificate is %+v", cert)
			}
			if (cert.Weak == "") != (test.weak == "") || !strings.Contains(cert.Weak, test.weak) {
				t.Errorf("weakness is %q, want %q", cert.Weak, test.weak)
			}
			want := key
			if test.weak != "" {
				want = "*pgp.WeakError"
			}
			for _, digest := range []string{"SHA256", "SHA512"} {
				if test.algo == "nistp384" && digest == "SHA256" {
					digest = "SHA384" // gpg makes no signature whose digest is shorter than the key
				}
				if got := outcome(pgp.NewKeyring(cert), g.sign(key, "--digest-algo", digest)); got != want {
					t.Errorf("%s: got %s, want %s", digest, got, want)
				}
			}
		})
	}
}

func TestGnuPGLifetimes(t *testing.T) {
	g := newGnuPG(t)
	key := g.generate("expiring", "ed25519", "10d")
	sub := func() string {
		g.run("", "--batch", "--quick-add-key", key, "ed25519", "sign", "never")
		return g.fingerprints(key)[1]
	}()
	g.now = born.Add(5 * day)
	byKey, bySub := g.sign(key), g.sign(sub)

	cert := g.export(key)[0]
	if !cert.Expires.Equal(born.Add(10*day)) || len(cert.Subkeys) != 1 || cert.Subkeys[0].Fingerprint != sub || len(cert.KeyIDs) != 2 {
		t.Fatalf("certificate is %+v", cert)
	}
	ring := pgp.NewKeyring(cert)
	if got := outcome(ring, byKey); got != key {
		t.Errorf("by the key while it was valid: %s", got)
	}
	if got := outcome(ring, bySub); got != sub {
		t.Errorf("by the subkey while it was valid: %s", got)
	}

	// Extended long after: what was signed since must count with the new copy only.
	g.now = born.Add(20 * day)
	g.run("", "--batch", "--quick-set-expire", key, "100d")
	g.now = born.Add(21 * day)
	late := g.sign(sub)
	if got := outcome(ring, late); got != "*pgp.ExpiredError" {
		t.Errorf("with the old copy: %s", got)
	}
	extended := g.export(key)[0]
	for name, ring := range map[string]*pgp.Keyring{"new": pgp.NewKeyring(extended), "both": pgp.NewKeyring(extended, cert)} {
		for _, sig := range [][]byte{late, bySub} {
			if got := outcome(ring, sig); got != sub {
				t.Errorf("with the %s copy: %s", name, got)
			}
		}
	}
}

func TestGnuPGRevocations(t *testing.T) {
	g := newGnuPG(t)

	// The certificate that GnuPG makes ready for every key gives no reason.
	hard := g.generate("hard", "ed25519", "never")
	before := g.export(hard)[0]
	sig := g.sign(hard)
	prepared, err := os.ReadFile(filepath.Join(g.home, "openpgp-revocs.d", strings.ToUpper(hard)+".rev"))
	if err != nil {
		t.Fatal(err)
	}
	g.now = born.Add(30 * day)
	g.run(strings.Replace(string(prepared), ":-----BEGIN", "-----BEGIN", 1), "--batch", "--import")
	revoked := g.export(hard)[0]
	if revoked.Revoked == nil || !revoked.Revoked.Hard {
		t.Errorf("revocation is %+v", revoked.Revoked)
	}
	if got := outcome(pgp.NewKeyring(before, revoked), sig); got != "*pgp.RevokedError" {
		t.Errorf("hard revocation: %s", got)
	}

	// Retired: what was signed before stays good.
	g.now = born
	soft := g.generate("soft", "ed25519", "never")
	early, late := g.sign(soft), []byte(nil)
	g.now = born.Add(40 * day)
	late = g.sign(soft)
	g.now = born.Add(30 * day)
	certificate := g.run("y\n3\nno longer used\n\ny\n", "--command-fd", "0", "--gen-revoke", soft)
	g.run(string(certificate), "--batch", "--import")
	retired := g.export(soft)[0]
	want := pgp.Revocation{Time: born.Add(30 * day), Reason: "key is retired", Text: "no longer used"}
	if got := retired.Revoked; got == nil || got.Hard || !got.Time.Equal(want.Time) || got.Reason != want.Reason || got.Text != want.Text {
		t.Errorf("revocation is %+v", got)
	}
	ring := pgp.NewKeyring(retired)
	if got := outcome(ring, early); got != soft {
		t.Errorf("signed before retirement: %s", got)
	}
	if got := outcome(ring, late); got != "*pgp.RevokedError" {
		t.Errorf("signed after retirement: %s", got)
	}

	// A subkey alone.
	g.now = born
	owner := g.generate("owner", "rsa3072", "never")
	g.run("", "--batch", "--quick-add-key", owner, "ed25519", "sign", "never")
	sub := g.fingerprints(owner)[1]
	byOwner, bySub := g.sign(owner), g.sign(sub)
	if got := outcome(pgp.NewKeyring(g.export(owner)...), bySub); got != sub {
		t.Errorf("by the subkey: %s", got)
	}
	g.now = born.Add(30 * day)
	g.run("key 1\nrevkey\ny\n1\nlost\n\ny\nsave\n", "--command-fd", "0", "--edit-key", owner)
	ring = pgp.NewKeyring(g.export(owner)...)
	if r := ring.Lookup(sub).Subkeys[0].Revoked; r == nil || !r.Hard || r.Reason != "key is compromised" || r.Text != "lost" {
		t.Errorf("revocation is %+v", r)
	}
	if got := outcome(ring, bySub); got != "*pgp.RevokedError" {
		t.Errorf("by the revoked subkey: %s", got)
	}
	if got := outcome(ring, byOwner); got != owner {
		t.Errorf("by its primary key: %s", got)
	}

	if all := g.export(); len(all) != 3 {
		t.Errorf("got %d certificates of the whole keyring", len(all))
	}
}
