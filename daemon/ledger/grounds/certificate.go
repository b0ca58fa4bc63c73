// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

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
// to load: it uses no list for files that it opens itself.
func (s *Grounds) TellOfFormat(format string, enforced bool) {
	if format != digestlist.FormatRPM {
		return
	}
	severity := api.SeverityNotice
	if enforced {
		severity = api.SeverityWarning
	}
	s.Problem("format", severity, `format = "rpm": a kernel that enforces lists cannot load the parser of this format, even when a list has the module; all files that only lists vouch for are refused until it is loaded by hand`,
		`set format = "tlv", then: systemctl restart digestd; else load the parser at each boot before the policy is enforced`)
}
