// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/digestd/digestd/daemon/view"
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

// OwnCertificates are those by which a list may be ours: all that ever signed
// here, but for the revoked.
func (s *Grounds) OwnCertificates() []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(s.Certificates), func(c *x509.Certificate) bool {
		return s.Keys[hex.EncodeToString(c.SubjectKeyId)].Revoked != nil
	})
}
