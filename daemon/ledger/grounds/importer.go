// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// CertificateID names a certificate that signs imported lists: SHA-256 of its DER form,
// hexadecimal. The maker of a certificate chooses all its other fields.
func CertificateID(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// formerID is the name that an older digestd gave to a certificate: its subject key
// identifier, or what that usually is.
func formerID(cert *x509.Certificate) string {
	if len(cert.SubjectKeyId) > 0 {
		return hex.EncodeToString(cert.SubjectKeyId)
	}
	sum := sha1.Sum(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// idsOf returns the names of certificates.
func idsOf(certs []*x509.Certificate) map[string]bool {
	ids := map[string]bool{}
	for _, cert := range certs {
		ids[CertificateID(cert)] = true
	}
	return ids
}

// MeetImporter records the certificate by which a list was imported, so that it can
// be revoked.
func (s *Grounds) MeetImporter(cert *x509.Certificate) {
	id := CertificateID(cert)
	if k, known := s.Keys[id]; known && k.Gone.IsZero() {
		return
	}
	s.SetKey(record.Key{Fingerprint: id, Use: view.UseImport, Owner: cert.Subject.String(), Algorithm: algorithmOf(cert),
		Source: "an imported list", Created: cert.NotBefore, Expires: cert.NotAfter, FirstSeen: s.Now()})
}

// RenameImporters gives what an older digestd recorded under a certificate's former name
// the name of today. A revocation holds for every trusted certificate of the former name.
// Lists are those of the only one that has it: where two have it, nothing says which of
// them signed, so their lists are withheld until somebody imports them again.
func (s *Grounds) RenameImporters(trusted []*x509.Certificate) {
	former := map[string][]*x509.Certificate{}
	for _, cert := range trusted {
		if id := formerID(cert); !slices.ContainsFunc(former[id], cert.Equal) {
			former[id] = append(former[id], cert)
		}
	}
	for name, certs := range former {
		old := s.Keys[name]
		if old.Use != view.UseImport || !old.Gone.IsZero() {
			continue
		}
		for _, cert := range certs {
			s.MeetImporter(cert)
			if k := s.Keys[CertificateID(cert)]; old.Revoked != nil && k.Revoked == nil {
				k.Revoked = old.Revoked
				s.SetKey(k)
			}
		}
		if len(certs) == 1 {
			s.renameImported(name, CertificateID(certs[0]))
		}
		old.Gone = s.Now()
		s.SetKey(old)
	}
}

// renameImported changes the name of the certificate that signed imported lists.
func (s *Grounds) renameImported(from, to string) {
	for name, o := range s.Own {
		if o.KeyKind != view.KeyX509 || o.Key != from {
			continue
		}
		o.Key = to
		s.SetOwn(o)
		if e := s.OwnEntry(name); e != nil {
			renamed := *e
			renamed.Key = to
			s.Save(&renamed)
		}
	}
}

// SetOwn records an own list and queues it for the next commit.
func (s *Grounds) SetOwn(o record.Own) {
	own := maps.Clone(s.Own) // snapshots share it
	if own == nil {
		own = map[string]record.Own{}
	}
	if own[o.Name].Last != o.Last {
		s.Decided(false)
	}
	own[o.Name] = o
	s.Own = own
	s.Queue.Batch.PutOwn(o)
}

// OwnEntry returns the entry of an own list, nil if it has none.
func (s *Grounds) OwnEntry(name string) *view.Entry {
	if e := s.ByName[s.Own[name].List]; e != nil && e.Own == name {
		return e
	}
	return nil
}
