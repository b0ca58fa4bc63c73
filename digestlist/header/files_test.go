// SPDX-License-Identifier: Apache-2.0

package header_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist/header"
)

func fileLines(h *header.Header) (lines []string, err error) {
	err = h.Files(func(f header.File) error {
		if path := string(f.AppendPath(nil)); path != f.Path() {
			return fmt.Errorf("AppendPath %q, Path %q", path, f.Path())
		}
		lines = append(lines, fmt.Sprintf("%o %d %x %s", f.Mode, f.Flags, f.Digest, f.Path()))
		return nil
	})
	return lines, err
}

func TestFiles(t *testing.T) {
	h := mustParse(t, build(header.TagHeaderImmutable, fileRecords(), nil))
	got, err := fileLines(h)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"100755 0 " + strings.Repeat("ab", 32) + " /usr/bin/hello",
		"120777 0  /etc/link",
		"100644 64 " + strings.Repeat("cd", 32) + " /usr/bin/state",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	kinds := ""
	if err := h.Files(func(f header.File) error {
		kinds += fmt.Sprintf("%d:%v/%v ", f.Index, f.Regular(), f.Ghost())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := "0:true/false 1:false/false 2:true/true "; kinds != want {
		t.Errorf("regular/ghost %s, want %s", kinds, want)
	}
}

func TestFilesStopsWithTheCallersError(t *testing.T) {
	h := mustParse(t, build(header.TagHeaderImmutable, fileRecords(), nil))
	stop, calls := errors.New("stop"), 0
	if err := h.Files(func(header.File) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestNoFiles(t *testing.T) {
	lines, err := fileLines(mustParse(t, build(header.TagHeaderImmutable, nevraRecords(), nil)))
	if err != nil || lines != nil {
		t.Errorf("%v, %v", lines, err)
	}
}

func TestFilesRefuses(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	for _, tt := range []struct {
		name    string
		records []record
	}{
		{"modes of another number", with(fileRecords(), u16s(header.TagFileModes, 0, 0))},
		{"digests of another number", with(fileRecords(), texts(header.TagFileDigests, sum, sum))},
		{"flags of another number", with(fileRecords(), u32s(header.TagFileFlags, 0, 0, 0, 0))},
		{"directory indexes of another number", with(fileRecords(), u32s(header.TagDirIndexes, 0))},
		{"base names of another number", with(fileRecords(), texts(header.TagBaseNames, "a", "b", "c", "d"))},
		{"modes of another type", with(fileRecords(), u32s(header.TagFileModes, 0, 0, 0))},
		{"no digests", without(fileRecords(), header.TagFileDigests)},
		{"no directories", without(fileRecords(), header.TagDirNames)},
		{"no base names", without(fileRecords(), header.TagBaseNames)},
		{"base names twice", append(fileRecords(), texts(header.TagBaseNames, "a", "b", "c"))},
		{"list of rpm 3", []record{texts(header.TagOldFilenames, "/bin/sh")}},
		{"directory that is not there", with(fileRecords(), u32s(header.TagDirIndexes, 0, 2, 0))},
		{"negative directory", with(fileRecords(), u32s(header.TagDirIndexes, 0, 0xffffffff, 0))},
		{"more directories than files", with(fileRecords(), texts(header.TagDirNames, "/", "/", "/", "/"))},
		{"directories too few", with(fileRecords(), record{header.TagDirNames, typeStringArray, 2, []byte("/usr/bin/\x00/etc/")})},
		{"base names too few", with(fileRecords(), record{header.TagBaseNames, typeStringArray, 3, []byte("a\x00b\x00c")})},
		{"digest of another size", with(fileRecords(), texts(header.TagFileDigests, sum, "", sum+"ab"))},
		{"digest of odd length", with(fileRecords(), texts(header.TagFileDigests, sum[1:], "", sum))},
		{"digest not in hex", with(fileRecords(), texts(header.TagFileDigests, "xy"+sum[2:], "", sum))},
		{"digest beyond any algorithm", with(fileRecords(), u32s(header.TagFileDigestAlg, 99), texts(header.TagFileDigests, sum+sum+"ab", "", ""))},
		{"algorithm of another type", with(fileRecords(), text(header.TagFileDigestAlg, "sha256"))},
		{"MD5 by default", without(fileRecords(), header.TagFileDigestAlg)},
		{"long path", with(fileRecords(), texts(header.TagDirNames, "/"+strings.Repeat("d", 4094), "/"))},
	} {
		if _, err := fileLines(mustParse(t, build(header.TagHeaderImmutable, tt.records, nil))); err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
}

func TestFileDigestAlgo(t *testing.T) {
	for name, tt := range map[string]struct {
		records []record
		want    uint32
	}{
		"absent":                 {nil, 1},
		"one":                    {[]record{u32s(header.TagFileDigestAlg, 8)}, 8},
		"one a file, as rpmpack": {[]record{u32s(header.TagFileDigestAlg, 8, 8, 8)}, 8},
	} {
		h := mustParse(t, build(header.TagHeaderImmutable, append(nevraRecords(), tt.records...), nil))
		if got, err := h.FileDigestAlgo(); err != nil || got != tt.want {
			t.Errorf("%s: %d, %v, want %d", name, got, err, tt.want)
		}
	}
}

// A header of less than 1 MiB must not be good for a list of 256 MiB and more.
func TestFilesBoundsTheirPaths(t *testing.T) {
	const n = 70_000
	dir := "/" + strings.Repeat("d", 4000) + "/"
	h := mustParse(t, build(header.TagHeaderImmutable, []record{
		{header.TagFileModes, typeInt16, n, make([]byte, 2*n)},
		{header.TagFileDigests, typeStringArray, n, make([]byte, n)},
		{header.TagFileFlags, typeInt32, n, make([]byte, 4*n)},
		{header.TagDirIndexes, typeInt32, n, make([]byte, 4*n)},
		{header.TagBaseNames, typeStringArray, n, bytes.Repeat([]byte("b\x00"), n)},
		texts(header.TagDirNames, dir),
	}, nil))
	total := 0
	err := h.Files(func(f header.File) error { total += len(f.Dir) + len(f.Base); return nil })
	if err == nil || total > header.MaxData {
		t.Errorf("%d bytes of paths, %v", total, err)
	}
}

// The list of a package is made on the way of every transaction: a constant
// number of allocations, however many files there are.
func TestFilesAllocations(t *testing.T) {
	h := mustParse(t, manyFiles())
	var buf []byte
	got := testing.AllocsPerRun(10, func() {
		if err := h.Files(func(f header.File) error { buf = f.AppendPath(buf[:0]); return nil }); err != nil {
			t.Fatal(err)
		}
	})
	if got > 4 {
		t.Errorf("%v allocations", got)
	}
}
