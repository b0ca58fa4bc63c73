// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// sequoia makes certificates with forky's sq, of version 4 or 6. Its primary keys
// do not sign; a subkey does.
type sequoia struct {
	t               *testing.T
	inside, outside string
	algo, profile   string
	base, sig       []byte // the certificate and the signature
	key, sub        string // fingerprints
}

func newSequoia(t *testing.T, algo, profile string) *sequoia {
	t.Helper()
	q := &sequoia{t: t, algo: algo, profile: profile}
	q.inside, q.outside = forky.Scratch(t)
	q.generate("key")
	if err := os.WriteFile(filepath.Join(q.outside, "data"), append([]byte(header.Magic), region...), 0o644); err != nil {
		t.Fatal(err)
	}
	q.run(february, "sign", "--signer-file", q.path("key"), "--signature-file", q.path("sig.asc"), q.path("data"))
	q.run(february, "packet", "dearmor", q.path("sig.asc"), "--output", q.path("sig"))
	q.sig, q.base = q.read("sig"), q.public("key")
	certs, err := pgp.ParseCerts(q.base)
	if err != nil || len(certs) != 1 || len(certs[0].Subkeys) != 1 {
		t.Fatalf("certificates are %+v (%v)", certs, err)
	}
	q.key, q.sub = certs[0].Fingerprint, certs[0].Subkeys[0].Fingerprint
	return q
}

func (q *sequoia) path(name string) string { return filepath.Join(q.inside, name) }

func (q *sequoia) read(name string) []byte {
	q.t.Helper()
	data, err := os.ReadFile(filepath.Join(q.outside, name))
	if err != nil {
		q.t.Fatal(err)
	}
	return data
}

// run runs sq at a time, now if that is "".
func (q *sequoia) run(at string, args ...string) string {
	q.t.Helper()
	all := []string{"--home", q.path("home"), "--batch", "--overwrite"}
	if at != "" {
		all = append(all, "--time", date(q.t, at).Format("2006-01-02T15:04:05Z"))
	}
	out, err := forky.Command("sq", append(all, args...)...).CombinedOutput()
	if err != nil {
		q.t.Fatalf("sq %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (q *sequoia) generate(name string) {
	q.run(january, "key", "generate", "--own-key", "--userid", "Vendor <vendor@example.org>", "--userid", "Second <second@example.org>",
		"--profile", q.profile, "--signing-algorithm", q.algo, "--cannot-encrypt", "--cannot-authenticate",
		"--without-password", "--expiration", "never", "--output", q.path(name), "--rev-cert", q.path(name+".rev"))
}

// public returns the certificate of a key, or of a certificate, in a file.
func (q *sequoia) public(name string) []byte {
	q.run("", "key", "delete", "--cert-file", q.path(name), "--output", q.path("public.asc"))
	q.run("", "packet", "dearmor", q.path("public.asc"), "--output", q.path("public"))
	return q.read("public")
}

func (q *sequoia) signature() []byte { return q.sig }
func (q *sequoia) early() []byte     { return q.base }

func (q *sequoia) stranger() []byte {
	q.generate("stranger")
	q.run(march, "key", "revoke", "--cert-file", q.path("stranger"), "--reason", "compromised", "--message", "test", "--output", q.path("made.asc"))
	q.run("", "packet", "dearmor", q.path("made.asc"), "--output", q.path("made"))
	return q.read("made")
}

// revoked is a certificate and what a verb of sq that revokes makes of it.
func (q *sequoia) revoked(verb ...string) []byte {
	q.run(march, append(verb, "--cert-file", q.path("key"), "--message", "for a test", "--output", q.path("made.asc"))...)
	return merge(q.t, q.base, q.read("made.asc"))
}

func (q *sequoia) make(s state) (cert []byte, says string) {
	cert = q.base
	switch s.name {
	case "compromised", "superseded", "retired", "unspecified":
		cert = q.revoked("key", "revoke", "--reason", s.name)
	case "subkey revoked":
		cert = q.revoked("key", "subkey", "revoke", "--key", q.sub, "--reason", "compromised")
	case "user ID revoked":
		cert = q.revoked("key", "userid", "revoke", "--userid", "Second <second@example.org>", "--reason", "retired")
	case "subkey expired":
		q.run(march, "key", "subkey", "expire", "--cert-file", q.path("key"), "--key", q.sub, "--expiration", june, "--output", q.path("changed"))
		cert = q.public("changed")
	case "expired", "extended":
		q.run(march, "key", "expire", "--cert-file", q.path("key"), "--expiration", june, "--output", q.path("changed"))
		if s.name == "extended" {
			q.run(july, "key", "expire", "--cert-file", q.path("changed"), "--expiration", "never", "--output", q.path("extended"))
			return q.public("extended"), q.says(q.public("extended"))
		}
		cert = q.public("changed")
	case "revocation forged":
		made := q.stranger()
		certs, err := pgp.ParseCerts(q.public("stranger"))
		if err != nil {
			q.t.Fatal(err)
		}
		cert = forge(q.t, cert, lastSignature(q.t, made), q.key, certs[0].Fingerprint)
	}
	return cert, q.says(cert)
}

// says is what sq thinks of the key now.
func (q *sequoia) says(cert []byte) string {
	q.t.Helper()
	if err := os.WriteFile(filepath.Join(q.outside, "judged"), cert, 0o644); err != nil {
		q.t.Fatal(err)
	}
	out := q.run("", "inspect", q.path("judged"))
	primary, _, _ := strings.Cut(out, "Subkey:")
	switch {
	case strings.Contains(primary, "Revoked:"):
		return "revoked"
	case strings.Contains(primary, "not live: Expired"):
		return "expired"
	}
	return "valid"
}

// lastSignature returns the revocation from what sq makes of it: a key packet, then
// the signature, both in the new format (RFC 9580, section 4.2.1).
func lastSignature(t *testing.T, packets []byte) []byte {
	t.Helper()
	for {
		length, head := int(packets[1]), 2
		switch {
		case length >= 192 && length < 224:
			length, head = (length-192)<<8+int(packets[2])+192, 3
		case length >= 224:
			t.Fatalf("length begins with %d", length)
		}
		if head+length >= len(packets) {
			return packets
		}
		packets = packets[head+length:]
	}
}
