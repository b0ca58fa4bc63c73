// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"github.com/digestd/digestd/daemon/api"
)

const (
	keyPGP  = "pgp"
	keyX509 = "x509"
	// useImport marks the record of a certificate that signed an imported list.
	useImport = api.UseImport
	// maxCertificate bounds a file of certificates.
	maxCertificate = 1 << 20
)
