// SPDX-License-Identifier: Apache-2.0

package digestlist_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
)

func TestOwnName(t *testing.T) {
	for _, name := range []string{"a", "tools", "9-lives", "a.b_c+d-e", strings.Repeat("n", 64)} {
		got, err := digestlist.OwnName(name)
		if err != nil || got != "tlv-own-"+name {
			t.Errorf("%q is %q, %v", name, got, err)
		}
		_, hasSeq, format, rest, err := digestlist.ParseName(got)
		if err != nil || hasSeq || format != "tlv" || rest != "own-"+name {
			t.Errorf("the kernel reads %q as %q %q, %v", got, format, rest, err)
		}
	}
	for _, name := range []string{"", ".", "..", "-a", "_a", "a/b", "a:b", "a b", "ä", "a\n", "a\x00", strings.Repeat("n", 65)} {
		if got, err := digestlist.OwnName(name); err == nil {
			t.Errorf("%q is %q", name, got)
		}
	}
	// A package that is called as if it were an own list.
	for _, pkg := range []string{"own-tools", "own"} {
		got, err := digestlist.PackageName("tlv", nevra.NEVRA{Name: pkg, EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"})
		if err != nil || !strings.Contains(got, ":") {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestSequence(t *testing.T) {
	long := "tlv-" + strings.Repeat("x", 249)
	for _, tc := range []struct {
		seq        uint32
		name, want string
	}{
		{0, "tlv-a", "0-tlv-a"}, {4294967295, "tlv-a-1", "4294967295-tlv-a-1"}, {7, long, "7-" + long}, {10, long, long},
	} {
		got := digestlist.Sequenced(tc.seq, tc.name)
		if got != tc.want || len(got) > digestlist.MaxName || digestlist.WithoutSequence(got) != tc.name || digestlist.WithoutSequence(tc.name) != tc.name {
			t.Errorf("%d %q: %q, and without %q", tc.seq, tc.name, got, digestlist.WithoutSequence(got))
		}
	}
	for _, name := range []string{"", "x", "4294967296-tlv-x", "5-x", "-"} {
		if got := digestlist.WithoutSequence(name); got != name {
			t.Errorf("%q without a number is %q", name, got)
		}
	}
}

// Written entry by entry, a list is the same.
func TestEntryByEntry(t *testing.T) {
	entries := []digestlist.Entry{{Digest: sum256("a"), Path: "/a"}, {Digest: sum256("b"), Path: "/b\n\xff"}}
	want, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA256, Entries: entries}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := digestlist.AppendTLVHead(nil, digestlist.SHA256, 0)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint32(got[len(got)-4:], uint32(len(entries)))
	for _, e := range entries {
		if got, err = digestlist.AppendTLVEntry(got, digestlist.SHA256, e); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%x\nis not\n%x", got, want)
	}
	if _, err := digestlist.AppendTLVHead(nil, digestlist.SHA1, 1); err == nil {
		t.Error("a list of a broken algorithm was begun")
	}
}
