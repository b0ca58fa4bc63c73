// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"github.com/digestd/digestd/daemon/api"
)

func Describe(c *x509.Certificate, path string) api.Certificate {
	sum := sha256.Sum256(c.Raw)
	return api.Certificate{Subject: c.Subject.String(), Fingerprint: hex.EncodeToString(sum[:]),
		SKI: hex.EncodeToString(c.SubjectKeyId), NotAfter: c.NotAfter, Path: path}
}
