// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"bytes"
	"crypto" // RFC 5280 §4.2.1.2 builds the key identifier from it; it protects nothing
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// MeetSigner records a certificate of this machine.
func (s *Grounds) MeetSigner(cert *x509.Certificate, path string) {
	skid := hex.EncodeToString(cert.SubjectKeyId)
	if _, known := s.Keys[skid]; !known {
		s.SetKey(record.Key{Fingerprint: skid, Use: view.UseLists, Owner: cert.Subject.CommonName, Algorithm: algorithmOf(cert),
			Source: path, Created: cert.NotBefore, Expires: cert.NotAfter, FirstSeen: s.Now()})
	}
}

// algorithmOf names a key as those of packages are named.
func algorithmOf(cert *x509.Certificate) string {
	switch key := cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return fmt.Sprintf("nistp%d", key.Params().BitSize)
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa%d", key.N.BitLen())
	}
	return cert.PublicKeyAlgorithm.String()
}

// OwnCertificates returns the certificates that may have signed lists of this machine: all
// that ever did, except revoked ones.
func (s *Grounds) OwnCertificates() []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(s.Certificates), func(c *x509.Certificate) bool {
		return s.Keys[hex.EncodeToString(c.SubjectKeyId)].Revoked != nil
	})
}

// SignsWide reports whether what is signed with that certificate's key is digested
// otherwise than by SHA-256.
func SignsWide(cert *x509.Certificate) bool {
	hash, err := digestlist.SigningHash(cert.PublicKey)
	return err == nil && hash != crypto.SHA256
}

// MetaCertificate is the SHA-256 of the certificate that the active lists were signed
// with, as far as the index knows: absent for the one that digestd made itself.
const MetaCertificate = "certificate"

// AdoptCertificate has all lists signed anew if they were signed with another
// certificate than the one that signs now. value is what the index has of that.
func (s *Grounds) AdoptCertificate(value []byte, cert *x509.Certificate) {
	sum := sha256.Sum256(cert.Raw)
	selfMade := bytes.Equal(cert.RawIssuer, cert.RawSubject)
	same := bytes.Equal(value, sum[:]) || value == nil && selfMade
	wide := SignsWide(cert)
	skid := hex.EncodeToString(cert.SubjectKeyId)
	for _, e := range s.Sorted() {
		// Lists of an earlier digestd do not say by what digest the kernel knows them.
		if !e.Active() || e.Signer != skid || e.Change != "" || same && (!wide || e.Wide != "") {
			continue
		}
		again := *e
		again.Change = record.Publishing // it stays, and is made anew
		s.Save(&again)
		s.Anew = true
	}
	if same {
		return
	}
	s.Queue.Batch.SetMeta(MetaCertificate, sum[:])
	if k, known := s.Keys[skid]; known {
		k.Created, k.Expires, k.Owner = cert.NotBefore, cert.NotAfter, cert.Subject.CommonName
		s.SetKey(k)
	}
	s.Anew = true
}

// TellOfFormat warns of a format that a kernel reads only by a module, which it refuses
// to load: it uses no list for files that it opens itself. enforced tells whether the
// kernel enforces lists; it is asked only where that matters.
func (s *Grounds) TellOfFormat(format string, enforced func() bool) {
	if format != digestlist.FormatRPM {
		return
	}
	severity := api.SeverityNotice
	if enforced() {
		severity = api.SeverityWarning
	}
	s.Problem("format", severity, `format = "rpm": a kernel that enforces lists cannot load the parser module of this format, even if a list includes it; it refuses all files that only lists vouch for until you load the module manually`,
		`set format = "tlv", then: systemctl restart digestd; or load the parser module at each boot before the policy is enforced`)
}
