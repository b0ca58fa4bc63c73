// SPDX-License-Identifier: Apache-2.0

package digestlist_test

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
)

// kernelTLV reads a list as the kernel's parser does, written for plainness: it
// is the judge of WalkTLV. It reports what the kernel would find and whether it
// would take the list; strict is that WalkTLV promises to refuse it even so.
type kernelTLV struct {
	found  []string
	strict bool

	algo    int
	counted map[int]bool
}

var kernelDigestSizes = []int{16, 16, 20, 20, 32, 48, 64, 28, 16, 32, 40, 32, 48, 64, 16, 20, 24, 32, 32, 64, 32, 48, 64}

func (k *kernelTLV) parse(b []byte) (ok bool) {
	k.algo, k.counted = -1, map[int]bool{}
	ok = eachTLV(b, 3, k.outer)
	if ok && len(k.found) == 0 {
		k.strict = true // the kernel calls such a cache invalid later
	}
	return ok
}

func eachTLV(b []byte, fields int, fn func(field int, data []byte) bool) bool {
	for len(b) > 0 {
		if len(b) < 6 {
			return false
		}
		field, length := int(b[0])<<8|int(b[1]), int(b[2])<<24|int(b[3])<<16|int(b[4])<<8|int(b[5])
		b = b[6:]
		if field >= fields || length > len(b) {
			return false
		}
		if length > 0 && !fn(field, b[:length]) {
			return false
		}
		b = b[length:]
	}
	return true
}

func (k *kernelTLV) outer(field int, data []byte) bool {
	switch field {
	case 0:
		if len(data) != 2 {
			return false
		}
		k.algo = int(data[0])<<8 | int(data[1])
		return k.algo < len(kernelDigestSizes)
	case 1:
		if len(data) != 4 || bytes.Equal(data, make([]byte, 4)) || k.algo < 0 {
			return false
		}
		k.counted[k.algo] = true
		return true
	}
	if k.algo < 0 {
		return false
	}
	var digests, paths [][]byte
	if !eachTLV(data, 2, func(field int, data []byte) bool {
		if field == 1 {
			paths = append(paths, data)
			return true
		}
		digests = append(digests, data)
		return len(data) == kernelDigestSizes[k.algo] && k.counted[k.algo]
	}) {
		return false
	}
	if !k.counted[k.algo] || len(digests) != 1 || len(paths) > 1 {
		k.strict = true
		return true
	}
	path := ""
	if len(paths) == 1 {
		path = string(bytes.TrimSuffix(paths[0], []byte{0}))
	}
	if len(path) > 4095 || bytes.Contains([]byte(path), []byte{0}) {
		k.strict = true
	}
	k.found = append(k.found, fmt.Sprintf("%d %x %q", k.algo, digests[0], path))
	return true
}

func FuzzWalkTLV(f *testing.F) {
	list := unhex(f, golden)
	f.Add(list)
	f.Add(append(bytes.Clone(list), list...))
	f.Add(append(append(unhex(f, "0000 00000002 0006 0001 00000004 00000001 0002 00000046 0000 00000040"), make([]byte, 64)...), list...))
	f.Add(unhex(f, "0000 00000000 0001 00000000 0002 00000000"))
	f.Add(unhex(f, "0000 00000002 0001 0001 00000004 00000001 0002 00000000 0002 0000001c 0000 00000010 00000000000000000000000000000000 0001 00000000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var found []string
		err := digestlist.WalkTLV(b, func(algo digestlist.Algo, digest, path []byte) error {
			found = append(found, fmt.Sprintf("%d %x %q", algo, digest, path))
			return nil
		})
		var syntax *digestlist.SyntaxError
		if err != nil && (!errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(b)) {
			t.Fatalf("%v for %d bytes", err, len(b))
		}
		var kernel kernelTLV
		if ok := kernel.parse(b); (err == nil) != (ok && !kernel.strict) {
			t.Fatalf("%v, kernel takes it: %v, we are stricter: %v", err, ok, kernel.strict)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(kernel.found, found); diff != "" {
			t.Fatalf("(-kernel +WalkTLV):\n%s", diff)
		}

		groups, err := digestlist.ParseTLV(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := digestlist.AppendTLV(nil, groups)
		if errors.Is(err, digestlist.ErrWeakDigest) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		back, err := digestlist.ParseTLV(again)
		if diff := cmp.Diff(groups, back); err != nil || diff != "" {
			t.Fatalf("%v (-parsed +written and parsed):\n%s", err, diff)
		}
	})
}

func FuzzWalkRPM(f *testing.F) {
	f.Add(digestlist.AppendRPM(nil, makeHeader(8, regular("/a", repeated("ab", 32)), made{dir: "/", base: "d", mode: 0o040755})))
	f.Add(digestlist.AppendRPM(nil, makeHeader(0)))
	f.Add(digestlist.AppendRPM(nil, makeHeader(10, regular("/a", repeated("ab", 64)))))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		err := digestlist.WalkRPM(b, func(algo digestlist.Algo, digest, path []byte) error {
			n++
			if len(digest) != algo.Size() || len(path) >= 4096 {
				t.Errorf("%v digest of %d bytes, path of %d", algo, len(digest), len(path))
			}
			return nil
		})
		var syntax *digestlist.SyntaxError
		if err != nil && !errors.As(err, &syntax) {
			t.Fatal(err)
		}
		if n > len(b) {
			t.Errorf("%d files from %d bytes", n, len(b))
		}
		if err != nil {
			return
		}
		// The tlv list of the same header is part of it.
		h, err := header.ParseImmutable(b[len(header.Magic):])
		if err != nil {
			t.Fatal(err)
		}
		if list, entries, err := digestlist.AppendPackageTLV(nil, h); err == nil {
			if entries > n {
				t.Errorf("%d entries of %d files", entries, n)
			}
			if err := digestlist.WalkTLV(list, ignore); err != nil {
				t.Errorf("its own list: %v", err)
			}
		}
	})
}

// The keys are the same in every process that takes part.
func FuzzVerifyPKCS7(f *testing.F) {
	trusted, messages := storedPKCS7(f)
	values := map[string]bool{} // the signatures that were made of signedBody
	for _, der := range messages {
		f.Add(der)
		values[lastOctets(f, der)] = true
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		cert, err := digestlist.VerifyPKCS7(signedBody, der, trusted)
		if (err == nil) != (cert != nil) {
			t.Fatalf("%v, %v", cert, err)
		}
		if err != nil {
			return
		}
		if !slices.Contains(trusted, cert) || !values[lastOctets(t, der)] {
			t.Error("a signature that nobody made")
		}
	})
}

// lastOctets returns what a message without unsigned attributes ends with: the
// signature.
func lastOctets(t testing.TB, der []byte) string {
	t.Helper()
	for at := range der {
		var sig []byte
		if rest, err := asn1.Unmarshal(der[at:], &sig); err == nil && len(rest) == 0 && len(sig) >= 64 {
			return string(sig)
		}
	}
	t.Fatal("no signature at the end")
	return ""
}
