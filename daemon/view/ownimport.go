// SPDX-License-Identifier: Apache-2.0

package view

import (
	"github.com/digestd/digestd/daemon/api"
)

const (
	KeyPGP  = "pgp"
	KeyX509 = "x509"
	// UseImport marks the record of a certificate that signed an imported list.
	UseImport = api.UseImport
	// MaxCertificate bounds a file of certificates.
	MaxCertificate = 1 << 20
)
