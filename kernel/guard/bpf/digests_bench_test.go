// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"io"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/digestd/digestd/kernel/guard"
)

// hostSet is a set without programs, whose maps are those of the kernel at hand: that of digests,
// which has room for n, and that of the commit.
func hostSet(t testing.TB, n int) *Set {
	t.Helper()
	spec, err := loadGuard()
	if err != nil {
		t.Fatal(err)
	}
	s := &Set{maps: map[string]*ebpf.Map{}, inner: spec.Maps[guardMapDigests].InnerMap, shared: map[guard.Digest]uint32{}}
	t.Cleanup(s.Close)
	if s.maps[guardMapCommit], err = ebpf.NewMap(spec.Maps[guardMapCommit]); err == nil {
		s.active, err = s.newActive(guard.Capacity(n))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func number(i int) (d guard.Digest) {
	binary.BigEndian.PutUint32(d[:], uint32(i))
	d[31] = 1
	return d
}

// BenchmarkWithdrawal: 800 lists with 95,000 digests, of 100,000, are withdrawn as digestd does
// it, in one plan. It needs to be root, and a kernel that has maps.
func BenchmarkWithdrawal(b *testing.B) {
	const all, gone = 100_000, 95_000
	s := hostSet(b, 2*all) // what comes does not count what is there
	var digests []guard.Digest
	for i := range all {
		digests = append(digests, number(i))
	}
	lists := make([]uint32, 4096)
	for i := range lists {
		lists[i] = 1
	}
	for b.Loop() {
		b.StopTimer()
		left := digests
		err := s.Replace(all, func() ([]guard.Digest, []uint32, error) {
			if len(left) == 0 {
				return nil, nil, io.EOF
			}
			n := min(len(left), len(lists))
			part := left[:n]
			left = left[n:]
			return part, lists[:n], nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := s.Expel(digests[:gone]); err != nil {
			b.Fatal(err)
		}
		if s.Len() != all-gone {
			b.Fatalf("%d digests are left", s.Len())
		}
	}
}
