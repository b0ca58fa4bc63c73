// SPDX-License-Identifier: Apache-2.0

package state

import (
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"slices"

	"github.com/digestd/digestd/daemon/view"
)

// Blacklisted is what the kernel's .blacklist has.
type Blacklisted struct {
	Known   bool            // it could be read
	Entries map[string]bool // "bin:" and "tbs:" with their digests
	KeyIDs  map[string]bool // of the certificates in it
}

// Names reports whether the kernel would not load a certificate: by the digest of
// its signed part, or because it has the certificate itself.
func (b *Blacklisted) Names(c *x509.Certificate) bool {
	return b.KeyIDs[hex.EncodeToString(c.SubjectKeyId)] ||
		slices.ContainsFunc(TbsEntries(c), func(entry string) bool { return b.Entries[entry] })
}

// TbsEntries are the names .blacklist has for a certificate: by the digest that
// its signature is of, or, with kernels that know ML-DSA, by SHA-256.
func TbsEntries(c *x509.Certificate) []string {
	hashes := []crypto.Hash{crypto.SHA256}
	switch c.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		hashes = append(hashes, crypto.SHA384)
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		hashes = append(hashes, crypto.SHA512)
	}
	var entries []string
	for _, hash := range hashes {
		sum := hash.New()
		sum.Write(c.RawTBSCertificate)
		entries = append(entries, view.TbsPrefix+hex.EncodeToString(sum.Sum(nil)))
	}
	return entries
}
