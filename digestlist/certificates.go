// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"crypto/x509"
	"encoding/pem"
)

// Certificates returns the X.509 certificates of a PEM file in their order, nil if it has
// none. Other blocks, and text between blocks, are ignored. If one cannot be parsed, it
// returns those before it and the error.
func Certificates(data []byte) (certs []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return certs, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return certs, err
		}
		certs = append(certs, cert)
	}
}
