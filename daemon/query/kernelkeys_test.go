// SPDX-License-Identifier: Apache-2.0

package query

import (
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/kernel"
	"github.com/google/go-cmp/cmp"
)

// A key in several keyrings is one key, which one of them may revoke; entries that are neither
// certificates nor of .blacklist do not count.
func TestKernelKeys(t *testing.T) {
	a, b := strings.Repeat("aa", 20), strings.Repeat("bb", 20)
	entry := "bin:" + strings.Repeat("cc", 32)
	found := kernelKeys{}
	for _, k := range []struct {
		ring string
		kernel.Key
	}{
		{kernel.RingIMA, kernel.Key{ID: 1, Type: "asymmetric", Description: "Vendor: " + a}},
		{kernel.RingIMA, kernel.Key{ID: 2, Type: "asymmetric", Description: "Thief: " + b}},
		{kernel.RingMachine, kernel.Key{ID: 1, Type: "asymmetric", Description: "Vendor: " + a}},
		{kernel.RingBlacklist, kernel.Key{ID: 2, Type: "asymmetric", Description: "Thief: " + b}},
		{kernel.RingBlacklist, kernel.Key{ID: 3, Type: "blacklist", Description: entry}},
		{kernel.RingIMA, kernel.Key{ID: 4, Type: "user", Description: "note"}},
		{kernel.RingIMA, kernel.Key{ID: 5, Type: "asymmetric", Description: "no identifier"}},
	} {
		found.add(k.ring, k.Key, map[int]string{1: "X509.rsa"})
	}
	vendor := api.Key{Fingerprint: a, Use: api.UseKernel, Owner: "Vendor", Algorithm: "X509.rsa", State: api.KeyTrusted,
		Source: "kernel .ima, .machine", Keyrings: []string{kernel.RingIMA, kernel.RingMachine}}
	thief := api.Key{Fingerprint: b, Use: api.UseKernel, Owner: "Thief", State: api.KeyRevoked, Source: "kernel .ima, .blacklist",
		Keyrings: []string{kernel.RingIMA, kernel.RingBlacklist}, RevokedBy: "the kernel's .blacklist", RevokedReason: "named in the kernel's .blacklist"}
	digest := api.Key{Fingerprint: entry, Use: api.UseKernel, Algorithm: "sha256", State: api.KeyRevoked, Source: "kernel .blacklist",
		Keyrings: []string{kernel.RingBlacklist}, RevokedBy: "the kernel's .blacklist", RevokedReason: "named in the kernel's .blacklist"}
	if diff := cmp.Diff(kernelKeys{a: vendor, b: thief, entry: digest}, found); diff != "" {
		t.Fatal(diff)
	}
	for id, want := range map[string]int{a: 1, a[:7]: 0, a[:8]: 1, "0x" + a[:8]: 1, "cccccccc": 1, "": 0, "bbbbbbbb": 1} {
		if named := found.named(id); len(named) != want {
			t.Errorf("%q names %+v", id, named)
		}
	}
	found["12"+a[2:]] = api.Key{}
	if named := found.named(a[2:]); len(named) != 2 {
		t.Errorf("the end of two keys names %+v", named)
	}
	delete(found, "12"+a[2:])
	// One of ours stays what it is, and is said to be there; the others follow, sorted.
	ours, others := api.Key{Fingerprint: a, Use: api.UseLists, Owner: "digestd"}, api.Key{Fingerprint: "dd"}
	merged := found.merge([]api.Key{ours, others})
	ours.Keyrings = vendor.Keyrings
	if diff := cmp.Diff([]api.Key{ours, others, thief, digest}, merged); diff != "" {
		t.Error(diff)
	}
}
