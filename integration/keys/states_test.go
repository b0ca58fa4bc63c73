// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// The life of every key: signs in February, when it is good; something happens to
// it in March; what expires does so in June; and July may mend that.
const (
	january  = "20240101T000000"
	february = "20240201T000000"
	march    = "20240301T000000"
	june     = "2024-06-01"
	july     = "20240701T000000"
)

var region = []byte("stands for the immutable region of a header")

// state is what an owner made of a certificate since it signed.
type state struct {
	name    string
	revoked string // reason for revocation of the key, as pgp calls it
	subkey  string // "revoked" or "expired", of the signing subkey
	expired bool   // the key, by now
	vouches bool   // the signature of February, by the signing subkey
}

var states = []state{
	{name: "valid", vouches: true},
	{name: "compromised", revoked: "key is compromised"},
	{name: "superseded", revoked: "key is superseded", vouches: true},
	{name: "retired", revoked: "key is retired", vouches: true},
	{name: "unspecified", revoked: "key is revoked without a reason"},
	{name: "expired", expired: true, vouches: true},
	{name: "extended", vouches: true},
	{name: "subkey revoked", subkey: "revoked"},
	{name: "subkey expired", subkey: "expired", vouches: true},
	{name: "user ID revoked", vouches: true},
	{name: "revocation forged", vouches: true},
}

// maker makes certificates.
type maker interface {
	// make returns the certificate, armored or binary, of a key in a state, and
	// what the program itself says of the key: "valid", "revoked" or "expired".
	make(s state) (cert []byte, says string)
	// signature is of February, by the signing subkey, over magic and region.
	signature() []byte
	// early is the certificate as it was in February.
	early() []byte
	// stranger returns a revocation of another key of the same kind, which it
	// made for itself.
	stranger() []byte
}

// TestStates compares what rpmdb/pgp says of each state with what its maker says,
// and with sqv's verdict on the signature.
//
// GnuPG exports the newest self-signature alone; for sqv, such a key did not exist
// when it signed. So sqv is given the copy of February as well. For rpmdb/pgp the
// newest is enough: distributions do sign their keys anew.
func TestStates(t *testing.T) {
	for _, algo := range []string{"rsa2048", "rsa3072", "rsa4096", "nistp256", "nistp384", "ed25519"} {
		t.Run("gpg/"+algo, func(t *testing.T) {
			t.Parallel()
			judge(t, newGnuPG(t, algo))
		})
	}
	for _, algo := range []string{"rsa2k", "rsa3k", "rsa4k", "nistp256", "nistp384", "ed25519"} {
		t.Run("sq/"+algo, func(t *testing.T) {
			t.Parallel()
			judge(t, newSequoia(t, algo, "rfc4880"))
		})
	}
	for _, algo := range []string{"rsa4k", "nistp256", "ed25519", "ed448"} {
		t.Run("sq/v6/"+algo, func(t *testing.T) {
			t.Parallel()
			judge(t, newSequoia(t, algo, "rfc9580"))
		})
	}
}

func judge(t *testing.T, m maker) {
	inside, outside := forky.Scratch(t)
	write := func(name string, data []byte) string {
		if err := os.WriteFile(filepath.Join(outside, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(inside, name)
	}
	data := write("data", append([]byte(header.Magic), region...))
	sig := m.signature()
	sigFile := write("sig", sig)
	for _, s := range states {
		cert, says := m.make(s)
		certs, err := pgp.ParseCerts(cert)
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		ring := pgp.NewKeyring(certs...)
		c := ring.Certs()[0]
		if got := said(c); len(ring.Certs()) != 1 || got != says || got != s.says() {
			t.Errorf("%s: key is %s, its maker says %s, want %s", s.name, got, says, s.says())
		}
		if s.revoked != "" && (c.Revoked == nil || c.Revoked.Reason != s.revoked || !c.Revoked.Time.Equal(date(t, march))) {
			t.Errorf("%s: revocation is %v", s.name, c.Revoked)
		}
		switch sub := subkey(c); {
		case sub == nil:
			t.Errorf("%s: no signing subkey", s.name)
		case (sub.Revoked != nil) != (s.subkey == "revoked"), s.subkey == "expired" != (!sub.Expires.IsZero() && c.Expires.IsZero()):
			t.Errorf("%s: subkey is %+v", s.name, sub)
		}
		_, err = ring.Verify(region, []header.Signature{{Tag: header.TagOpenPGP, Data: sig}}, time.Now())
		merged := write("merged", merge(t, m.early(), cert))
		out, bad := forky.Command("sqv", "--keyring", merged, sigFile, data).CombinedOutput()
		if (err == nil) != (bad == nil) || (err == nil) != s.vouches {
			t.Errorf("%s: signature: %v; sqv: %v %s; want %v", s.name, err, bad, out, s.vouches)
		}
	}
}

// merge has Sequoia make one certificate of two copies.
func merge(t *testing.T, copies ...[]byte) []byte {
	t.Helper()
	inside, outside := forky.Scratch(t)
	args := []string{"--home", filepath.Join(inside, "home"), "--batch", "keyring", "merge", "--output", filepath.Join(inside, "merged")}
	for i, c := range copies {
		name := fmt.Sprint("copy", i)
		if err := os.WriteFile(filepath.Join(outside, name), c, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, filepath.Join(inside, name))
	}
	if out, err := forky.Command("sq", args...).CombinedOutput(); err != nil {
		t.Fatalf("sq %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	merged, err := os.ReadFile(filepath.Join(outside, "merged"))
	if err != nil {
		t.Fatal(err)
	}
	return merged
}

func (s state) says() string {
	switch {
	case s.revoked != "":
		return "revoked"
	case s.expired:
		return "expired"
	}
	return "valid"
}

// said is what pgp says of a key.
func said(c *pgp.Cert) string {
	switch {
	case c.Revoked != nil:
		return "revoked"
	case !c.Expires.IsZero() && c.Expires.Before(time.Now()):
		return "expired"
	}
	return "valid"
}

func subkey(c *pgp.Cert) *pgp.Subkey {
	if len(c.Subkeys) != 1 {
		return nil
	}
	return &c.Subkeys[0]
}

func date(t *testing.T, text string) time.Time {
	t.Helper()
	d, err := time.Parse("20060102T150405", text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// forge puts the revocation that a stranger made of its own key into a
// certificate, as if its owner had made it: with the owner's key ID and
// fingerprint.
func forge(t *testing.T, cert, revocation []byte, owner, stranger string) []byte {
	t.Helper()
	from, to := unhex(t, stranger), unhex(t, owner)
	forged := bytes.ReplaceAll(revocation, from, to)
	if len(to) == 20 {
		forged = bytes.ReplaceAll(forged, from[12:], to[12:])
	}
	if bytes.Equal(forged, revocation) {
		t.Fatal("the revocation names nobody")
	}
	return append(bytes.Clone(cert), forged...)
}

func unhex(t *testing.T, digits string) (b []byte) {
	t.Helper()
	if _, err := fmt.Sscanf(strings.ToLower(digits), "%x", &b); err != nil {
		t.Fatal(err)
	}
	return b
}
