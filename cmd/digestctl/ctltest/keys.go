// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"context"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

var memoryKeys = []api.Key{
	{Fingerprint: "0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f60718293a", Owner: "Old Vendor <old@vendor.example>", Algorithm: "rsa2048",
		Source: "gpg-pubkey-0718293a-1", State: api.KeyRevoked, Created: Noon, FirstSeen: Noon, RevokedBy: "administrator",
		RevokedReason: "stolen", RevokedAt: Noon, RevokedUID: 4000000001, Withheld: 2},
	{Fingerprint: VendorKey, Owner: "Vendor <security@vendor.example>", Algorithm: "ed25519", Source: "gpg-pubkey-e7d6c5b4-1",
		State: api.KeyTrusted, Created: Noon, Expires: Noon.AddDate(1, 0, 0), FirstSeen: Noon, Lists: 1, Files: 3},
	{Fingerprint: "0011aabb", Use: "lists", Owner: "digestd list signing key of machine", Algorithm: "nistp256", Source: "/var/lib/digestd/signing.crt",
		State: api.KeyTrusted, Created: Noon, Expires: Noon.AddDate(30, 0, 0), FirstSeen: Noon, Lists: 1, Files: 3, Keyrings: []string{".ima", ".machine"}},
	{Fingerprint: banned, Use: "digest", Algorithm: "sha256", Source: "the kernel's .blacklist", State: api.KeyRevoked, RevokedBy: "the kernel's .blacklist",
		RevokedReason: "named in the kernel's .blacklist", RevokedAt: Noon, Withheld: 1, Keyrings: []string{".blacklist"}},
	{Fingerprint: "88776655", Use: "kernel", Owner: "Firmware CA", Algorithm: "rsa2048", Source: "kernel .platform", State: api.KeyTrusted, Keyrings: []string{".platform"}},
	{Fingerprint: "tbs:00ff", Use: "kernel", Source: "kernel .blacklist", State: api.KeyRevoked, RevokedBy: "the kernel's .blacklist", Keyrings: []string{".blacklist"}},
}

const banned = "bin:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func (m *Daemon) Keys(context.Context) ([]api.Key, error) { return memoryKeys, nil }

func (m *Daemon) Key(_ context.Context, id string) (api.Key, error) {
	for _, k := range memoryKeys {
		if k.Fingerprint == id {
			return k, nil
		}
	}
	return api.Key{}, &api.Error{Code: api.NotFound, Message: "no key " + id + " is known here", Advice: "see digestctl keys"}
}

func (m *Daemon) KeyRevoke(ctx context.Context, _ api.Actor, id, _ string) (api.Key, error) {
	return m.Key(ctx, id)
}

func (m *Daemon) SignerRotate(_ context.Context, _ api.Actor, _ bool, reason string) (api.Certificate, error) {
	cert := api.Certificate{Subject: "CN=test", SKI: "0011aabb", Path: "/var/lib/digestd/signing.crt"}
	if reason == "on a full disk" {
		cert.Waiting = 2
	}
	return cert, nil
}

func (m *Daemon) KeyRestore(ctx context.Context, _ api.Actor, id, _ string) (api.Key, error) {
	return m.Key(ctx, id)
}

func (m *Daemon) PackagesAnnounced() {}

func (m *Daemon) Kernel() api.Kernel {
	if m.is("stock") {
		return api.Kernel{Release: "6.12.0", DigestCache: "no", IMA: "yes", Appraisal: "yes", AppraiseMode: "enforce"}
	}
	return api.Kernel{Release: "6.12.0", DigestCache: "yes", DefaultPath: "/etc/digest_lists", IMA: "yes", Appraisal: "yes", AppraiseMode: "enforce",
		Appraises: "yes", AppraiseLists: "yes", Modsig: "yes", Poll: 5 * time.Minute, BlacklistOpen: true, Blacklisted: 2, Keyring: ".ima", KeyringOpen: true}
}

func (m *Daemon) SignerEnrol(_ context.Context, _ api.Actor, where string) (api.Enrolment, error) {
	e := api.Enrolment{Where: where, Files: []string{"/var/lib/digestd/signing.der"}, Certificates: []api.Certificate{{SKI: "0011aabb"}}, Left: []string{"reboot"}}
	if where == api.EnrolIMA {
		return e, &api.Error{Code: api.Failed, Message: "the kernel's .ima keyring does not take it", Advice: "digestctl keys enrol --mok"}
	}
	if where == api.EnrolFile {
		e.Done = []string{"wrote /etc/keys/x509_ima.der"}
	}
	return e, nil
}

func (m *Daemon) Retired(context.Context, uint32, uint32) ([]api.Retired, uint32, error) {
	return []api.Retired{{Entry: banned, List: "tlv-hello-0:1-1.noarch", Package: "hello-0:1-1.noarch", Reason: "replaced", When: Noon}}, 1, nil
}
