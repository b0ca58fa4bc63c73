// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/identity"
)

// SignerRotate changes the key that signs lists, and signs all lists again. With prepareOnly
// it only makes the next key.
func (ad *Admin) SignerRotate(ctx context.Context, by api.Actor, prepareOnly bool, reason string) (api.Certificate, error) {
	if prepareOnly {
		path, err := ad.enroller.PrepareNext(ctx)
		if err != nil {
			return api.Certificate{}, err
		}
		cert, err := identity.ReadCertificate(path)
		if err != nil {
			return api.Certificate{}, err
		}
		return identity.Describe(cert, path), nil
	}
	if ad.Builder.Load().Sign != "pkcs7" {
		return api.Certificate{}, api.Errorf(api.InvalidArgument, "this machine's key does not sign lists: sign = %q", ad.Builder.Load().Sign)
	}
	former := ad.Builder.Load().Identity.SKI()
	err := ad.enroller.ReadySuccessor(ctx)
	if err == nil {
		err = ad.enroller.RenewIdentity(ctx, by, reason)
	}
	if err != nil {
		return api.Certificate{}, err
	}
	ad.enroller.ReplaceBootFile()
	if _, err := ad.reconciler.Run(ctx, "the signing key changed", func(string, int, int) {}); err != nil {
		// The key has changed; status says what keeps lists from being signed by it.
		ad.Logger.Error("sync failed", "reason", "the signing key changed", "error", err)
	}
	id := ad.Builder.Load().Identity
	cert := identity.Describe(id.Cert, id.Path)
	for _, e := range ad.Snapshot().Entries {
		if e.Active() && e.Grace == "" && e.Signer == former {
			cert.Waiting++
		}
	}
	return cert, nil
}
