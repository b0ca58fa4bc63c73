// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"crypto" // RFC 5280 §4.2.1.2 builds the key identifier from it; it protects nothing
	"crypto/x509"

	"github.com/digestd/digestd/digestlist"
)

// SignsWide reports whether what is signed with that certificate's key is digested
// otherwise than by SHA-256.
func SignsWide(cert *x509.Certificate) bool {
	hash, err := digestlist.SigningHash(cert.PublicKey)
	return err == nil && hash != crypto.SHA256
}
