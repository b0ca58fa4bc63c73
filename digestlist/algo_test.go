// SPDX-License-Identifier: Apache-2.0

package digestlist_test

import (
	"slices"
	"testing"

	"github.com/digestd/digestd/digestlist"
)

func TestAlgo(t *testing.T) {
	for n, size := range kernelDigestSizes {
		if got := digestlist.Algo(n).Size(); got != size {
			t.Errorf("%v has %d bytes, not %d", digestlist.Algo(n), got, size)
		}
	}
	for _, a := range []digestlist.Algo{digestlist.Algo(len(kernelDigestSizes)), 0xffff} {
		if a.Size() != 0 {
			t.Errorf("%v has %d bytes", a, a.Size())
		}
	}
	for _, tc := range []struct {
		pgp  uint32
		algo digestlist.Algo
		name string
	}{
		{1, digestlist.MD5, "md5"}, {2, digestlist.SHA1, "sha1"}, {8, digestlist.SHA256, "sha256"},
		{9, digestlist.SHA384, "sha384"}, {10, digestlist.SHA512, "sha512"}, {11, digestlist.SHA224, "sha224"},
	} {
		if got, ok := digestlist.AlgoFromPGP(tc.pgp); !ok || got != tc.algo || got.String() != tc.name {
			t.Errorf("OpenPGP's %d is %v, %v", tc.pgp, got, ok)
		}
	}
	for _, pgp := range []uint32{0, 3, 4, 7, 12, 14, 1 << 16, 1<<32 - 1} {
		if got, ok := digestlist.AlgoFromPGP(pgp); ok {
			t.Errorf("OpenPGP's %d is %v", pgp, got)
		}
	}
}

// Hash is for what new lists may be written with, and makes digests of that size.
func TestAlgoHash(t *testing.T) {
	for a := range digestlist.Algo(30) {
		h := a.Hash()
		if strong := slices.Contains([]digestlist.Algo{digestlist.SHA224, digestlist.SHA256, digestlist.SHA384, digestlist.SHA512}, a); (h != 0) != strong {
			t.Errorf("%s has the hash %d", a, h)
		}
		if h != 0 && h.New().Size() != a.Size() {
			t.Errorf("%s makes %d bytes, want %d", a, h.New().Size(), a.Size())
		}
	}
}
