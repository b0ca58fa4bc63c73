// SPDX-License-Identifier: Apache-2.0

package digestlist_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist"
)

// dropping chooses entries by their digests.
func dropping(digests ...[]byte) func(digestlist.Algo, []byte, []byte) bool {
	return func(_ digestlist.Algo, digest, _ []byte) bool {
		for _, d := range digests {
			if bytes.Equal(d, digest) {
				return true
			}
		}
		return false
	}
}

func TestTLVWithout(t *testing.T) {
	groups := []digestlist.Group{
		{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{sum256("a"), "/a"}, {sum256("b"), ""}, {sum256("a"), "/copy"}}},
		{Algo: digestlist.SHA512, Entries: []digestlist.Entry{{sum512("a"), "/a"}, {sum512("c"), "/c"}}},
		{Algo: digestlist.SHA384, Entries: []digestlist.Entry{{sum384("d"), "/d"}}},
	}
	list, err := digestlist.AppendTLV(nil, groups)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		drop    [][]byte
		dropped int
		want    []digestlist.Group
	}{
		"nothing":          {nil, 0, groups},
		"two of one":       {[][]byte{sum256("a")}, 2, []digestlist.Group{{digestlist.SHA256, groups[0].Entries[1:2]}, groups[1], groups[2]}},
		"one algorithm":    {[][]byte{sum384("d")}, 1, groups[:2]},
		"the first":        {[][]byte{sum256("a"), sum256("b")}, 3, groups[1:]},
		"the one between":  {[][]byte{sum512("a"), sum512("c")}, 2, []digestlist.Group{groups[0], groups[2]}},
		"what is not here": {[][]byte{sum256("z")}, 0, groups},
	} {
		out, n, err := digestlist.AppendWithout([]byte("before"), digestlist.FormatTLV, list, dropping(tc.drop...))
		if err != nil || n != tc.dropped || !bytes.HasPrefix(out, []byte("before")) {
			t.Errorf("%s: %d, %v", name, n, err)
			continue
		}
		// It is the list that would have been made of what is left.
		want, err := digestlist.AppendTLV(nil, tc.want)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out[len("before"):]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	out, n, err := digestlist.AppendWithout([]byte("x"), digestlist.FormatTLV, list, func(digestlist.Algo, []byte, []byte) bool { return true })
	if !errors.Is(err, digestlist.ErrEmpty) || n != 6 || string(out) != "x" {
		t.Errorf("without everything: %q, %d, %v", out, n, err)
	}
	if out, _, err := digestlist.AppendWithout([]byte("x"), digestlist.FormatTLV, list[:len(list)-1], dropping()); err == nil || string(out) != "x" {
		t.Errorf("a list that is cut short: %q, %v", out, err)
	}
	if _, _, err := digestlist.AppendWithout(nil, "deb", list, dropping()); err == nil {
		t.Error("an unknown format is known")
	}
}

func TestRPMWithout(t *testing.T) {
	region, err := parseHeader(t, packHeader(t, packed...)).Immutable()
	if err != nil {
		t.Fatal(err)
	}
	list := digestlist.AppendRPM(nil, region)
	entries := func(b []byte) (all []string) {
		t.Helper()
		if err := digestlist.WalkRPM(b, func(_ digestlist.Algo, digest, path []byte) error {
			all = append(all, fmt.Sprintf("%x %s", digest, path))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := entries(list)
	kept := bytes.Clone(list)
	out, n, err := digestlist.AppendWithout([]byte("before"), digestlist.FormatRPM, list, dropping(sum256("binary")))
	if err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	if !bytes.Equal(list, kept) || len(out) != len("before")+len(list) {
		t.Error("the list itself was changed, or its length")
	}
	after := entries(out[len("before"):])
	for i := range before {
		want := before[i]
		if want == fmt.Sprintf("%x /usr/bin/made", sum256("binary")) {
			want = fmt.Sprintf("%064x /usr/bin/made", 0)
		}
		if after[i] != want {
			t.Errorf("entry %d is %q, want %q", i, after[i], want)
		}
	}
	// Once more it finds nothing, and all of it is too much.
	if again, n, err := digestlist.AppendWithout(nil, digestlist.FormatRPM, out[len("before"):], dropping(sum256("binary"))); err != nil || n != 0 || !bytes.Equal(again, out[len("before"):]) {
		t.Errorf("once more: %d, %v", n, err)
	}
	if _, _, err := digestlist.AppendWithout(nil, digestlist.FormatRPM, list, func(digestlist.Algo, []byte, []byte) bool { return true }); !errors.Is(err, digestlist.ErrEmpty) {
		t.Errorf("without everything: %v", err)
	}
}

// For any list, the result is a list that has everything but the dropped entries.
func FuzzWithout(f *testing.F) {
	list, err := digestlist.AppendTLV(nil, []digestlist.Group{
		{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{sum256("a"), "/a"}, {sum256("b"), "/b"}}},
		{Algo: digestlist.SHA512, Entries: []digestlist.Entry{{sum512("a"), "/a"}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(list, byte(0xca), false)
	region, err := parseHeader(f, packHeader(f, packed...)).Immutable()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(digestlist.AppendRPM(nil, region), byte(0x9a), true)
	f.Fuzz(func(t *testing.T, list []byte, first byte, rpm bool) {
		format := digestlist.FormatTLV
		if rpm {
			format = digestlist.FormatRPM
		}
		drop := func(_ digestlist.Algo, digest, _ []byte) bool { return digest[0] == first }
		out, n, err := digestlist.AppendWithout(nil, format, list, drop)
		if err != nil {
			return
		}
		count := func(b []byte) (all, hit int) {
			if err := digestlist.Walk(format, b, func(_ digestlist.Algo, digest, _ []byte) error {
				all++
				if digest[0] == first {
					hit++
				}
				return nil
			}); err != nil {
				t.Fatalf("what comes out is no list: %v", err)
			}
			return all, hit
		}
		all, hit := count(list)
		left, still := count(out)
		if rpm {
			if left != all || first != 0 && still != 0 {
				t.Errorf("%d entries of %d, %d hit", left, all, still)
			}
			return
		}
		if left != all-n || hit != n || still != 0 {
			t.Errorf("%d entries, %d to drop; %d dropped, %d left, %d of them hit", all, hit, n, left, still)
		}
	})
}
