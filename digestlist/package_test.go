// SPDX-License-Identifier: Apache-2.0

package digestlist_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/rpmpack"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/integration/needs"
)

// packed has every kind of file that a package may bring.
var packed = []rpmpack.RPMFile{
	{Name: "/etc/made.conf", Mode: 0o644, Body: []byte("conf"), Type: rpmpack.ConfigFile | rpmpack.NoReplaceFile},
	{Name: "/etc/made.d", Mode: 0o40755},
	{Name: "/usr/bin/made", Mode: 0o755, Body: []byte("binary")},
	{Name: "/usr/bin/link", Mode: 0o120777, Body: []byte("made")},
	{Name: "/usr/share/empty", Mode: 0o644},
	{Name: "/var/lib/made/state", Mode: 0o600, Body: []byte("state"), Type: rpmpack.GhostFile},
}

func TestAppendPackageTLV(t *testing.T) {
	h := parseHeader(t, packHeader(t, packed...))
	list, n, err := digestlist.AppendPackageTLV([]byte("before"), h)
	if err != nil || n != 3 {
		t.Fatalf("%d entries, %v", n, err)
	}
	if !strings.HasPrefix(string(list), "before") {
		t.Error("what was there before is gone")
	}
	got, err := digestlist.ParseTLV(list[len("before"):])
	if err != nil {
		t.Fatal(err)
	}
	want := []digestlist.Group{{Algo: digestlist.SHA256, Entries: []digestlist.Entry{
		{sum256("conf"), "/etc/made.conf"},
		{sum256("binary"), "/usr/bin/made"},
		{sum256(""), "/usr/share/empty"},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again, err := digestlist.AppendTLV(nil, got)
	if diff := cmp.Diff(list[len("before"):], again); err != nil || diff != "" {
		t.Errorf("AppendTLV writes another list (-package +groups): %v\n%s", err, diff)
	}
}

// Of a real package the list is as long as what rpm says of its files.
func TestAppendRealPackageTLV(t *testing.T) {
	dump := needs.Data(t, "vectors/headers/rpm.txt")
	list, n, err := digestlist.AppendPackageTLV(nil, parseHeader(t, needs.Data(t, "vectors/headers/rpm.hdr.gz")))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for line := range strings.Lines(string(dump)) {
		var mode, flags int
		var digest, path string
		if _, err := fmt.Sscanf(line, "%o %d %s %s\n", &mode, &flags, &digest, &path); err == nil && mode&0o170000 == 0o100000 && flags&int(header.FileGhost) == 0 {
			want = append(want, digest+" "+path)
		}
	}
	if err := digestlist.WalkTLV(list, func(algo digestlist.Algo, digest, path []byte) error {
		got = append(got, fmt.Sprintf("%x %s", digest, path))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || n != len(want) || n == 0 {
		t.Errorf("%d entries (-rpm +list):\n%s", n, diff)
	}
}

func TestAppendPackageTLVAlgorithms(t *testing.T) {
	for _, tc := range []struct {
		pgp  uint32
		algo digestlist.Algo
	}{{8, digestlist.SHA256}, {9, digestlist.SHA384}, {10, digestlist.SHA512}, {11, digestlist.SHA224}} {
		h := parseHeader(t, makeHeader(tc.pgp, regular("/a", repeated("ab", tc.algo.Size()))))
		list, n, err := digestlist.AppendPackageTLV(nil, h)
		if err != nil || n != 1 {
			t.Errorf("%v: %d entries, %v", tc.algo, n, err)
			continue
		}
		groups, err := digestlist.ParseTLV(list)
		if err != nil || groups[0].Algo != tc.algo || groups[0].Entries[0].Path != "/a" {
			t.Errorf("%v: %v, %v", tc.algo, groups, err)
		}
	}
}

func TestAppendPackageTLVRefuses(t *testing.T) {
	ghost := regular("/ghost", repeated("ab", 32))
	ghost.flags = header.FileGhost
	dir := made{dir: "/", base: "dir", mode: 0o040755}
	link := made{dir: "/", base: "link", mode: 0o120777, digest: repeated("ab", 32)}
	device := made{dir: "/", base: "null", mode: 0o020666, digest: repeated("ab", 32)}
	for name, tc := range map[string]struct {
		header []byte
		is     error
		text   string
	}{
		"no files":            {makeHeader(8), digestlist.ErrEmpty, ""},
		"no files in rpmpack": {packHeader(t), digestlist.ErrEmpty, ""},
		"directory":           {packHeader(t, packed[1]), digestlist.ErrEmpty, ""},
		"nothing regular":     {makeHeader(8, ghost, dir, link, device, regular("/no-digest", "")), digestlist.ErrEmpty, ""},
		"md5":                 {makeHeader(1, regular("/a", repeated("ab", 16))), digestlist.ErrWeakDigest, "number 1"},
		"md5 by silence":      {makeHeader(0, regular("/a", repeated("ab", 16))), digestlist.ErrWeakDigest, "number 1"},
		"sha1":                {makeHeader(2, regular("/a", repeated("ab", 20))), digestlist.ErrWeakDigest, "number 2"},
		"no such algorithm":   {makeHeader(99, regular("/a", repeated("ab", 32))), digestlist.ErrWeakDigest, "number 99"},
		"md5 of nothing":      {makeHeader(1, dir), digestlist.ErrEmpty, ""},
		"digest of another":   {makeHeader(8, regular("/a", repeated("ab", 32)), regular("/b", repeated("ab", 20))), nil, "file 1 of 2"},
		"digest that is not":  {makeHeader(8, regular("/a", repeated("zz", 32))), nil, "digest"},
	} {
		t.Run(name, func(t *testing.T) {
			got, n, err := digestlist.AppendPackageTLV([]byte("before"), parseHeader(t, tc.header))
			if err == nil || tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %v, want %v with %q", err, tc.is, tc.text)
			}
			if string(got) != "before" || n != 0 {
				t.Errorf("left %q and %d entries behind", got, n)
			}
		})
	}
}

// Garbage must not grow with the files of a package.
func TestAppendPackageTLVGarbage(t *testing.T) {
	allocs := func(b []byte) float64 {
		h := parseHeader(t, b)
		list := make([]byte, 0, 1<<20)
		return testing.AllocsPerRun(10, func() {
			if _, _, err := digestlist.AppendPackageTLV(list, h); err != nil {
				t.Fatal(err)
			}
		})
	}
	one, many := allocs(packHeader(t, packed[0])), allocs(packHeader(t, manyFiles()...))
	if many > one {
		t.Errorf("%v allocations for a package of many files, %v for one of one", many, one)
	}
}

func TestRPMFormat(t *testing.T) {
	h := parseHeader(t, packHeader(t, packed...))
	region, err := h.Immutable()
	if err != nil {
		t.Fatal(err)
	}
	list := digestlist.AppendRPM([]byte("before"), region)
	if want := "before" + "\x8e\xad\xe8\x01\x00\x00\x00\x00" + string(region); string(list) != want {
		t.Error("not magic and region")
	}
	var got []string
	err = digestlist.Walk(digestlist.FormatRPM, list[len("before"):], func(algo digestlist.Algo, digest, path []byte) error {
		got = append(got, fmt.Sprintf("%v %x %s", algo, digest, path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	// The kernel's parser sees digests only: it takes those of ghosts too.
	for _, f := range packed {
		if f.Mode&0o170000 == 0 {
			want = append(want, fmt.Sprintf("sha256 %x %s", sum256(string(f.Body)), f.Name))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMalformedRPM(t *testing.T) {
	region := makeHeader(8, regular("/a", repeated("ab", 32)))
	list := digestlist.AppendRPM(nil, region)
	wrongMagic := append([]byte{}, list...)
	wrongMagic[3] = 2
	for name, tc := range map[string]struct {
		list   []byte
		offset int
		field  string
		reason string
	}{
		"empty":              {nil, 0, "magic", ""},
		"region alone":       {region, 0, "magic", ""},
		"other version":      {wrongMagic, 0, "magic", ""},
		"cut within":         {list[:len(list)-1], 8, "header", ""},
		"something behind":   {append(append([]byte{}, list...), 0), 8, "header", ""},
		"unsigned behind":    {digestlist.AppendRPM(nil, dribble(packHeader(t, packed...), header.TagSHA256Header, "digest")), 8, "header", "more in it than the region"},
		"unknown algorithm":  {digestlist.AppendRPM(nil, makeHeader(99, regular("/a", repeated("ab", 32)))), 8, "FILEDIGESTALGO", "number 99"},
		"digest of another":  {digestlist.AppendRPM(nil, makeHeader(8, regular("/a", repeated("ab", 20)))), 8, "header", "file 0 of 1"},
		"digest that is not": {digestlist.AppendRPM(nil, makeHeader(8, regular("/a", repeated("zz", 32)))), 8, "header", "file 0 of 1"},
	} {
		t.Run(name, func(t *testing.T) {
			wantSyntax(t, digestlist.WalkRPM(tc.list, ignore), tc.offset, tc.field, tc.reason)
		})
	}
	enough := errors.New("enough")
	if err := digestlist.WalkRPM(list, func(digestlist.Algo, []byte, []byte) error { return enough }); err != enough {
		t.Errorf("fn's error came back as %v", err)
	}
	if err := digestlist.WalkRPM(digestlist.AppendRPM(nil, makeHeader(0)), ignore); err != nil {
		t.Errorf("a package without files, which the kernel takes: %v", err)
	}
}

func BenchmarkAppendPackageTLV(b *testing.B) {
	h := parseHeader(b, packHeader(b, manyFiles()...))
	list, _, err := digestlist.AppendPackageTLV(nil, h)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(list)))
	b.ReportAllocs()
	for b.Loop() {
		if list, _, err = digestlist.AppendPackageTLV(list[:0], h); err != nil {
			b.Fatal(err)
		}
	}
}
