// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"crypto/x509"
	"slices"

	"github.com/digestd/digestd/daemon/image"
	"github.com/digestd/digestd/daemon/keysource"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
)

// imageLists opens the lists of the image that this machine started from. Those count
// that a certificate signed by which lists may be imported, too, unless it is revoked or
// the kernel refuses it.
func (rc *Reconciler) imageLists(s *ledger.Ledger) *image.Lists {
	lists, err := image.Open(rc.Config.ImageLists, rc.ImageCertificates(s))
	if err != nil {
		rc.Logger.Warn("lists of the image not used", "error", err)
	}
	return lists
}

// ImageCertificates are those by which lists of an image count.
func (rc *Reconciler) ImageCertificates(s *ledger.Ledger) []*x509.Certificate {
	certs, _ := keysource.CertificatesIn(rc.Config.Keys) // what cannot be read, the refresh of the keys has named
	return slices.DeleteFunc(certs, func(c *x509.Certificate) bool {
		return len(c.SubjectKeyId) == 0 || s.Keys[grounds.CertificateID(c)].Revoked != nil || s.Blacklist.Names(c)
	})
}
