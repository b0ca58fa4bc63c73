// SPDX-License-Identifier: Apache-2.0

package digestlist_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist"
)

// golden is the list of one empty file, as the kernel's own documentation of
// the format lays it out.
const golden = "0000 00000002 0004" +
	"0001 00000004 00000001" +
	"0002 00000037" +
	"0000 00000020 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" +
	"0001 0000000b 2f7573722f62696e2f7800"

// unhex reads hex digits with spaces between them.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sum256(s string) []byte { d := sha256.Sum256([]byte(s)); return d[:] }
func sum384(s string) []byte { d := sha512.Sum384([]byte(s)); return d[:] }
func sum512(s string) []byte { d := sha512.Sum512([]byte(s)); return d[:] }
func sum224(s string) []byte { d := sha256.Sum224([]byte(s)); return d[:] }

func TestGoldenTLV(t *testing.T) {
	want := unhex(t, golden)
	if len(want) != 79 {
		t.Fatalf("the vector has %d bytes", len(want))
	}
	groups := []digestlist.Group{{
		Algo:    digestlist.SHA256,
		Entries: []digestlist.Entry{{Digest: sum256(""), Path: "/usr/bin/x"}},
	}}
	got, err := digestlist.AppendTLV([]byte("before"), groups)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]byte("before"), want...), got); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	parsed, err := digestlist.ParseTLV(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(groups, parsed); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

func TestSeveralAlgorithms(t *testing.T) {
	groups := []digestlist.Group{
		{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{sum256("a"), "/a"}, {sum256("b"), ""}}},
		{Algo: digestlist.SHA512, Entries: []digestlist.Entry{{sum512("a"), "/a"}}},
		{Algo: digestlist.SHA384, Entries: []digestlist.Entry{{sum384("a"), "/ä b"}}},
		{Algo: digestlist.SHA224, Entries: []digestlist.Entry{{sum224("a"), strings.Repeat("p", 4095)}}},
		{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{sum256("c"), "/c"}}},
	}
	b, err := digestlist.AppendTLV(nil, groups)
	if err != nil {
		t.Fatal(err)
	}
	got, err := digestlist.ParseTLV(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(groups, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAppendTLVRefuses(t *testing.T) {
	one := func(a digestlist.Algo, e digestlist.Entry) []digestlist.Group {
		return []digestlist.Group{{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{Digest: sum256("a")}}}, {Algo: a, Entries: []digestlist.Entry{e}}}
	}
	for name, tc := range map[string]struct {
		groups []digestlist.Group
		is     error
		text   string
	}{
		"no group":        {nil, digestlist.ErrEmpty, ""},
		"groups of none":  {[]digestlist.Group{{Algo: digestlist.SHA256}, {Algo: digestlist.MD5}}, digestlist.ErrEmpty, ""},
		"md5":             {one(digestlist.MD5, digestlist.Entry{Digest: make([]byte, 16)}), digestlist.ErrWeakDigest, "md5"},
		"sha1":            {one(digestlist.SHA1, digestlist.Entry{Digest: make([]byte, 20)}), digestlist.ErrWeakDigest, "sha1"},
		"unknown number":  {one(99, digestlist.Entry{Digest: make([]byte, 32)}), digestlist.ErrWeakDigest, "algorithm 99"},
		"short digest":    {one(digestlist.SHA512, digestlist.Entry{Digest: sum256("a")}), nil, "a sha512 digest has 64 bytes, not 32"},
		"no digest":       {one(digestlist.SHA256, digestlist.Entry{Path: "/a"}), nil, "a sha256 digest has 32 bytes, not 0"},
		"path too long":   {one(digestlist.SHA256, digestlist.Entry{Digest: sum256("a"), Path: strings.Repeat("p", 4096)}), nil, "4096 bytes, at most 4095"},
		"NUL in the path": {one(digestlist.SHA256, digestlist.Entry{Digest: sum256("a"), Path: "/a\x00b"}), nil, "NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := digestlist.AppendTLV([]byte("before"), tc.groups)
			if err == nil || tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %v, want %v with %q", err, tc.is, tc.text)
			}
			if string(got) != "before" {
				t.Errorf("left %q behind", got)
			}
		})
	}
}

// The kernel refuses a whole list for one wrong byte; each error says where.
func TestMalformedTLV(t *testing.T) {
	const (
		algo   = "0000 00000002 0004"
		count  = "0001 00000004 00000001"
		digest = "0000 00000020 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		entry  = "0002 00000026" + digest
		whole  = algo + count + entry
	)
	for name, tc := range map[string]struct {
		list   string
		offset int
		field  string
		reason string
	}{
		"empty":                         {"", 0, "DIGEST_LIST_ENTRY", "no entry"},
		"no entry":                      {algo + count, 18, "DIGEST_LIST_ENTRY", "no entry"},
		"unknown field":                 {whole + "0003 00000001 00", 62, "field", "unknown number 3"},
		"unknown field without data":    {whole + "0003 00000000", 62, "field", "unknown number 3"},
		"highest field":                 {"ffff 00000000", 0, "field", "unknown number 65535"},
		"length of 4 GiB":               {algo + "0001 ffffffff 00000001", 8, "DIGEST_LIST_NUM_ENTRIES", "4294967295 bytes announced, 4 left"},
		"algorithm of 1 byte":           {"0000 00000001 04", 0, "DIGEST_LIST_ALGO", "1 bytes, want 2"},
		"algorithm of 4 bytes":          {"0000 00000004 00000004", 0, "DIGEST_LIST_ALGO", "4 bytes, want 2"},
		"unknown algorithm":             {"0000 00000002 0017", 0, "DIGEST_LIST_ALGO", "number 23"},
		"unknown second algorithm":      {whole + "0000 00000002 ffff", 62, "DIGEST_LIST_ALGO", "number 65535"},
		"count first":                   {count + algo + entry, 0, "DIGEST_LIST_NUM_ENTRIES", "before any DIGEST_LIST_ALGO"},
		"count of 2 bytes":              {algo + "0001 00000002 0001", 8, "DIGEST_LIST_NUM_ENTRIES", "2 bytes, want 4"},
		"count of 8 bytes":              {algo + "0001 00000008 0000000000000001", 8, "DIGEST_LIST_NUM_ENTRIES", "8 bytes, want 4"},
		"count 0":                       {algo + "0001 00000004 00000000" + entry, 8, "DIGEST_LIST_NUM_ENTRIES", "the number is 0"},
		"count without data":            {algo + "0001 00000000" + entry, 14, "DIGEST_LIST_ENTRY", "before its DIGEST_LIST_NUM_ENTRIES"},
		"entry first":                   {entry + algo + count, 0, "DIGEST_LIST_ENTRY", "before its"},
		"entry before count":            {algo + entry + count, 8, "DIGEST_LIST_ENTRY", "before its"},
		"second algorithm, no count":    {whole + "0000 00000002 0006" + entry, 70, "DIGEST_LIST_ENTRY", "before its"},
		"digest of another algorithm":   {algo + count + "0002 00000046 0000 00000040" + strings.Repeat("00", 64), 24, "DIGEST_LIST_ENTRY_DIGEST", "64 bytes, sha256 has 32"},
		"digest too short":              {algo + count + "0002 00000025 0000 0000001f" + strings.Repeat("00", 31), 24, "DIGEST_LIST_ENTRY_DIGEST", "31 bytes, sha256 has 32"},
		"digest too long":               {algo + count + "0002 00000027 0000 00000021" + strings.Repeat("00", 33), 24, "DIGEST_LIST_ENTRY_DIGEST", "33 bytes, sha256 has 32"},
		"digest beyond its entry":       {algo + count + "0002 00000026 0000 00000021" + strings.Repeat("00", 33), 24, "DIGEST_LIST_ENTRY_DIGEST", "33 bytes announced, 32 left"},
		"two digests":                   {algo + count + "0002 0000004c" + digest + digest, 62, "DIGEST_LIST_ENTRY_DIGEST", "a second one"},
		"no digest":                     {algo + count + "0002 00000009 0001 00000003 2f6100", 24, "DIGEST_LIST_ENTRY_DIGEST", "missing"},
		"digest without data":           {algo + count + "0002 00000006 0000 00000000", 24, "DIGEST_LIST_ENTRY_DIGEST", "missing"},
		"unknown field of an entry":     {algo + count + "0002 0000002c" + digest + "0002 00000000", 62, "field", "unknown number 2"},
		"two paths":                     {algo + count + "0002 00000038" + digest + "0001 00000003 2f6100" + "0001 00000003 2f6100", 71, "DIGEST_LIST_ENTRY_PATH", "a second one"},
		"NUL in the path":               {algo + count + "0002 00000030" + digest + "0001 00000004 2f006100", 62, "DIGEST_LIST_ENTRY_PATH", "a NUL within"},
		"two NULs after the path":       {algo + count + "0002 00000030" + digest + "0001 00000004 2f610000", 62, "DIGEST_LIST_ENTRY_PATH", "a NUL within"},
		"path too long":                 {algo + count + "0002 0000102d" + digest + "0001 00001001" + strings.Repeat("61", 4096) + "00", 62, "DIGEST_LIST_ENTRY_PATH", "4096 bytes, at most 4095"},
		"one byte after the last entry": {whole + "00", 62, "field", "1 bytes left"},
	} {
		t.Run(name, func(t *testing.T) {
			wantSyntax(t, digestlist.WalkTLV(unhex(t, tc.list), ignore), tc.offset, tc.field, tc.reason)
			if groups, err := digestlist.ParseTLV(unhex(t, tc.list)); err == nil || groups != nil {
				t.Errorf("parsed as %v, %v", groups, err)
			}
		})
	}
}

// A list cut short anywhere is refused, whether or not the length of the entry
// that is cut agrees.
func TestTruncatedTLV(t *testing.T) {
	list := unhex(t, golden)
	for n := range len(list) {
		offset, field := 18, "DIGEST_LIST_ENTRY"
		switch {
		case n == 0 || n == 8 || n == 18:
			offset = n
		case n < 6:
			offset, field = 0, "field"
		case n < 8:
			offset, field = 0, "DIGEST_LIST_ALGO"
		case n < 14:
			offset, field = 8, "field"
		case n < 18:
			offset, field = 8, "DIGEST_LIST_NUM_ENTRIES"
		case n < 24:
			offset, field = 18, "field"
		}
		wantSyntax(t, digestlist.WalkTLV(list[:n:n], ignore), offset, field, "")
	}
	for n := 24; n < len(list); n++ {
		cut := bytes.Clone(list[:n])
		cut[23] = byte(n - 24)
		err := digestlist.WalkTLV(cut, ignore)
		switch {
		case n == 24: // an entry without data, which the kernel passes over
			wantSyntax(t, err, 24, "DIGEST_LIST_ENTRY", "no entry")
		case n < 30:
			wantSyntax(t, err, 24, "field", "")
		case n < 62:
			wantSyntax(t, err, 24, "DIGEST_LIST_ENTRY_DIGEST", "announced")
		case n == 62: // an entry without a path
			if err != nil {
				t.Errorf("without path: %v", err)
			}
		case n < 68:
			wantSyntax(t, err, 62, "field", "")
		default:
			wantSyntax(t, err, 62, "DIGEST_LIST_ENTRY_PATH", "announced")
		}
	}
}

// Lists that the kernel takes, and another encoder may write.
func TestLenientTLV(t *testing.T) {
	const digest = "0000 00000020 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	empty := digestlist.Entry{Digest: sum256("")}
	for name, tc := range map[string]struct {
		list string
		want []digestlist.Group
	}{
		"fields without data": {
			"0000 00000000 0001 00000000 0002 00000000" +
				"0000 00000002 0004 0000 00000000 0001 00000004 00000001 0001 00000000" +
				"0002 0000003e 0001 00000000 0000 00000000" + digest + "0001 00000000 0000 00000000" +
				"0002 00000000",
			[]digestlist.Group{{Algo: digestlist.SHA256, Entries: []digestlist.Entry{empty}}},
		},
		"count is a hint": {
			"0000 00000002 0004 0001 00000004 ffffffff 0002 00000026" + digest + "0002 00000026" + digest,
			[]digestlist.Group{{Algo: digestlist.SHA256, Entries: []digestlist.Entry{empty, empty}}},
		},
		"path before digest, without NUL": {
			"0000 00000002 0004 0001 00000004 00000001 0002 0000002e 0001 00000002 2f61" + digest,
			[]digestlist.Group{{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{sum256(""), "/a"}}}},
		},
		"path of a NUL": {
			"0000 00000002 0004 0001 00000004 00000001 0002 0000002d" + digest + "0001 00000001 00",
			[]digestlist.Group{{Algo: digestlist.SHA256, Entries: []digestlist.Entry{empty}}},
		},
		"algorithms first, then back to one": {
			"0000 00000002 0004 0001 00000004 00000001 0000 00000002 0001 0001 00000004 00000001" +
				"0002 00000016 0000 00000010 00000000000000000000000000000000" +
				"0000 00000002 0004 0002 00000026" + digest,
			[]digestlist.Group{
				{Algo: digestlist.MD5, Entries: []digestlist.Entry{{Digest: make([]byte, 16)}}},
				{Algo: digestlist.SHA256, Entries: []digestlist.Entry{empty}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := digestlist.ParseTLV(unhex(t, tc.list))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWalkTLVStops(t *testing.T) {
	list, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{sum256("a"), "/a"}, {sum256("b"), "/b"}}}})
	if err != nil {
		t.Fatal(err)
	}
	enough, calls := errors.New("enough"), 0
	err = digestlist.Walk(digestlist.FormatTLV, list, func(_ digestlist.Algo, _, path []byte) error {
		calls++
		if string(path) != "/a" {
			t.Errorf("path %q", path)
		}
		return enough
	})
	if err != enough || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	if err := digestlist.Walk("map", list, ignore); err == nil || !strings.Contains(err.Error(), `unknown format "map"`) {
		t.Errorf("unknown format: %v", err)
	}
}

func ignore(digestlist.Algo, []byte, []byte) error { return nil }

func wantSyntax(t *testing.T, err error, offset int, field, reason string) {
	t.Helper()
	var s *digestlist.SyntaxError
	if !errors.As(err, &s) {
		t.Fatalf("error %v, want a SyntaxError of %s at %d", err, field, offset)
	}
	if s.Offset != offset || s.Field != field || !strings.Contains(s.Reason, reason) {
		t.Errorf("error %q, want %s at %d with %q", err, field, offset, reason)
	}
}

func BenchmarkWalkTLV(b *testing.B) {
	g := digestlist.Group{Algo: digestlist.SHA256}
	for range 1000 {
		g.Entries = append(g.Entries, digestlist.Entry{Digest: sum256(""), Path: "/usr/share/doc/package/some/file"})
	}
	list, err := digestlist.AppendTLV(nil, []digestlist.Group{g})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(list)))
	b.ReportAllocs()
	for b.Loop() {
		if err := digestlist.WalkTLV(list, ignore); err != nil {
			b.Fatal(err)
		}
	}
}
