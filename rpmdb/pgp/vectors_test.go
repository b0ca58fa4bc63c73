// SPDX-License-Identifier: Apache-2.0

package pgp_test

import (
	"fmt"
	"testing"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/rpmdb/pgp"
)

type vector struct {
	region []byte
	sigs   []header.Signature
	certs  []*pgp.Cert
}

// readVector reads a header that a distribution signed: it is no part of this tree.
func readVector(t testing.TB, name string) vector {
	t.Helper()
	read := func(suffix string) []byte { return needs.Data(t, "vectors/signatures/"+name+suffix) }
	return vector{read(".region.gz"), []header.Signature{{Tag: header.TagRSAHeader, Data: read(".sig")}}, parse(t, read(".key"))}
}

// TestVectors verifies headers that distributions signed.
func TestVectors(t *testing.T) {
	for _, test := range []struct{ name, user, want string }{
		{"rhel8-v3", "Red Hat, Inc. (release key 2) <security@redhat.com>",
			"v3 SHA-256 2018-12-14 567e347ad0044ade55ba8a5f199e2f91fd431d51"},
		{"centos8-v3", "CentOS (CentOS Official Signing Key) <security@centos.org>",
			"v3 SHA-256 2019-07-02 99db70fae1d7ce227fb6488205b555b38483c65d"},
		{"centos7-v4-sha1", "CentOS SoftwareCollections SIG (https://wiki.centos.org/SpecialInterestGroup/SCLo) <security@centos.org>",
			"signature by key c4dbd535b1fbba14f8ba64a84eb84e71f2ee9d55 is not valid: SHA-1 is not accepted"},
		{"fedora35-v4", "Fedora (35) <fedora-35-primary@fedoraproject.org>",
			"v4 SHA-256 2021-07-25 787ea6ae1147eee56c40b30cdb4639719867c58f"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := readVector(t, test.name)
			if c := v.certs[0]; c.UserID != test.user || c.Weak != "" || c.Revoked != nil {
				t.Errorf("certificate is %+v", c)
			}
			result, err := pgp.NewKeyring(v.certs...).Verify(v.region, v.sigs, today)
			got := fmt.Sprint(err)
			if err == nil {
				got = fmt.Sprintf("v%d %s %s %s", result.Version, result.Hash, result.Created.UTC().Format("2006-01-02"), result.KeyFingerprint)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			v.region[len(v.region)/2] ^= 1
			if _, err := (pgp.Options{AllowSHA1: true}).NewKeyring(v.certs...).Verify(v.region, v.sigs, today); fmt.Sprintf("%T", err) != "*pgp.BadSignatureError" {
				t.Errorf("changed region: %v", err)
			}
		})
	}
	v := readVector(t, "centos7-v4-sha1")
	if _, err := (pgp.Options{AllowSHA1: true}).NewKeyring(v.certs...).Verify(v.region, v.sigs, today); err != nil {
		t.Errorf("SHA-1 allowed: %v", err)
	}
}
