// SPDX-License-Identifier: Apache-2.0

package header_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist/header"
)

func TestRegion(t *testing.T) {
	signed := append(nevraRecords(), fileRecords()...)
	full := mustParse(t, build(header.TagHeaderImmutable, signed, []record{u32s(header.TagInstallTime, 42)}))
	alone := build(header.TagHeaderImmutable, signed, nil)

	region, err := full.Immutable()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(region, alone) {
		t.Error("the immutable region is not the header without what follows the region")
	}
	if _, err := header.ParseImmutable(region); err != nil {
		t.Errorf("a region by itself: %v", err)
	}
	digest, err := full.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256([]byte(header.Magic + string(region))); digest != want {
		t.Errorf("digest %x, want %x", digest, want)
	}
	if v, err := full.Unsigned().Uint32(header.TagInstallTime); err != nil || v != 42 {
		t.Errorf("installation time %d, %v", v, err)
	}
}

// TestHashThatCannotBeCopied: the hashes of Go's validated module have no Clone; the header then
// has its digest, and no state to hash on from.
func TestHashThatCannotBeCopied(t *testing.T) {
	h := mustParse(t, build(header.TagHeaderImmutable, nevraRecords(), nil))
	want, err := h.Digest()
	if err != nil {
		t.Fatal(err)
	}
	state, digest, err := header.HashedBy(h, struct{ hash.Hash }{sha256.New()})
	if err != nil || state != nil || digest != want {
		t.Errorf("state %v, digest %x (%v), want none and %x", state, digest, err, want)
	}
	if state, digest, err = header.HashedBy(h, sha256.New()); err != nil || digest != want {
		t.Errorf("digest %x (%v), want %x", digest, err, want)
	} else if next, err := state.Clone(); err != nil || !bytes.Equal(next.Sum(nil), want[:]) {
		t.Errorf("its state hashes to %x (%v), want %x", next.Sum(nil), err, want)
	}
}

func TestParseImmutableRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"more than the region": build(header.TagHeaderImmutable, nevraRecords(), []record{u32s(header.TagInstallTime, 42)}),
		"no region":            build(0, nevraRecords(), nil),
		"signature header":     build(header.TagHeaderSignatures, []record{blob(header.TagRSAHeader, "x")}, nil),
		"data after the region": func() []byte {
			b := build(header.TagHeaderImmutable, nevraRecords(), nil)
			binary.BigEndian.PutUint32(b[4:], binary.BigEndian.Uint32(b[4:])+1)
			return append(b, 0)
		}(),
	} {
		if _, err := header.ParseImmutable(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Tags that rpm adds after the region must not pass for those of the packager.
func TestUnsignedNeverOverrides(t *testing.T) {
	b := build(header.TagHeaderImmutable, append(nevraRecords(), fileRecords()...), []record{
		text(header.TagName, "evil"),
		text(header.TagVendor, "Evil Ltd."),
		texts(header.TagProvideName, "installonlypkg(evil)"),
		texts(header.TagFileDigests, strings.Repeat("66", 32), "", strings.Repeat("66", 32)),
	})
	h := mustParse(t, b)
	if n, err := h.NEVRA(); err != nil || n.Name != "hello" {
		t.Errorf("name %q, %v", n.Name, err)
	}
	if v, err := h.String(header.TagVendor); !errors.Is(err, header.ErrNoTag) {
		t.Errorf("unsigned vendor %q, %v", v, err)
	}
	if h.Has(header.TagVendor) || h.MultiVersion() {
		t.Error("an unsigned tag is seen as signed")
	}
	if err := h.Files(func(f header.File) error {
		if bytes.Contains(f.Digest, []byte("\x66")) {
			t.Errorf("%s has an unsigned digest", f.Path())
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if v, err := h.Unsigned().String(header.TagName); err != nil || v != "evil" {
		t.Errorf("unsigned name %q, %v", v, err)
	}
}

func TestNoRegion(t *testing.T) {
	h := mustParse(t, build(0, nevraRecords(), nil))
	if n, err := h.NEVRA(); err != nil || n.Name != "hello" {
		t.Errorf("name %q, %v", n.Name, err)
	}
	if _, err := h.Immutable(); !errors.Is(err, header.ErrNoRegion) {
		t.Errorf("Immutable: %v", err)
	}
	if _, err := h.Digest(); !errors.Is(err, header.ErrNoRegion) {
		t.Errorf("Digest: %v", err)
	}
}

// A signature header has a region, but not the one that is signed.
func TestSignatureHeaderHasNoImmutable(t *testing.T) {
	h := mustParse(t, build(header.TagHeaderSignatures, []record{blob(header.TagRSAHeader, "x")}, nil))
	if _, err := h.Immutable(); !errors.Is(err, header.ErrNoRegion) {
		t.Errorf("Immutable: %v", err)
	}
	if _, err := h.Digest(); !errors.Is(err, header.ErrNoRegion) {
		t.Errorf("Digest: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	good := func() []byte {
		return build(header.TagHeaderImmutable, nevraRecords(), []record{u32s(header.TagInstallTime, 42)})
	}
	il := int(binary.BigEndian.Uint32(good()))
	put := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[at:], v)
			return b
		}
	}
	entry := func(i, field int) int { return 8 + 16*i + 4*field }
	data := 8 + 16*il
	trailer := data + int(binary.BigEndian.Uint32(good()[entry(0, 2):]))
	const tag, typ, offset, count = 0, 1, 2, 3

	for name, change := range map[string]func([]byte) []byte{
		"empty":                     func([]byte) []byte { return nil },
		"intro cut":                 func(b []byte) []byte { return b[:7] },
		"one byte short":            func(b []byte) []byte { return b[:len(b)-1] },
		"one byte long":             func(b []byte) []byte { return append(b, 0) },
		"no entries":                func([]byte) []byte { return make([]byte, 8) },
		"too many entries":          put(0, header.MaxEntries+1),
		"entries overflow":          put(0, 0x10000000),
		"negative entries":          put(0, 0xffffffff),
		"too much data":             put(4, header.MaxData+1),
		"negative data":             put(4, 0xffffffff),
		"region of another type":    put(entry(0, typ), typeString),
		"region of another count":   put(entry(0, count), 32),
		"region trailer outside":    put(entry(0, offset), 0x0ffffff0),
		"region trailer negative":   put(entry(0, offset), 0xfffffff0),
		"trailer tag":               put(trailer, header.TagHeaderSignatures),
		"trailer type":              put(trailer+4, typeString),
		"trailer count":             put(trailer+12, 15),
		"region without entries":    put(trailer+8, 0),
		"region offset positive":    put(trailer+8, 16),
		"region offset odd":         put(trailer+8, 0xffffffe8),
		"region longer than index":  put(trailer+8, -uint32(16*(il+1))),
		"region of least integer":   put(trailer+8, 0x80000000),
		"tag below 100":             put(entry(1, tag), header.TagHeaderImmutable),
		"tag negative":              put(entry(1, tag), 0xffffffff),
		"type 0":                    put(entry(1, typ), 0),
		"type 10":                   put(entry(1, typ), 10),
		"count 0":                   put(entry(1, count), 0),
		"two items in one string":   put(entry(1, count), 2),
		"count beyond the data":     put(entry(4, count), 0x3fffffff),
		"count overflows":           put(entry(4, count), 0x40000001),
		"offset beyond the data":    put(entry(1, offset), 0x0fffffff),
		"offset negative":           put(entry(1, offset), 0xffffffff),
		"overlap":                   put(entry(2, offset), 0),
		"not aligned":               put(entry(4, offset), 17),
		"region entry in trailer":   put(entry(il-2, offset), uint32(trailer-data)),
		"region entry behind it":    put(entry(il-2, offset), uint32(trailer-data+16)),
		"unsigned entry in region":  put(entry(il-1, offset), 0),
		"unsigned entry in trailer": put(entry(il-1, offset), uint32(trailer-data+12)&^3),
	} {
		if _, err := header.Parse(change(good())); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	mustParse(t, good())
}

func TestAccessorsRefuse(t *testing.T) {
	h := mustParse(t, build(header.TagHeaderImmutable, []record{
		{header.TagName, typeString, 1, []byte("not terminated")},
		{header.TagVersion, typeStringArray, 3, []byte("two\x00strings\x00x")},
		text(header.TagRelease, "1"),
		text(header.TagRelease, "2"),
		u32s(header.TagEpoch, 1),
		blob(header.TagRSAHeader, "x"),
	}, nil))
	for name, err := range map[string]error{
		"unterminated string": second(h.String(header.TagName)),
		"strings too few":     second(h.Strings(header.TagVersion)),
		"tag twice":           second(h.String(header.TagRelease)),
		"number as string":    second(h.String(header.TagEpoch)),
		"bytes as number":     second(h.Uint32(header.TagRSAHeader)),
		"string as bytes":     second(h.Bytes(header.TagName)),
		"string as numbers":   second(h.Uint32s(header.TagName)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		if errors.Is(err, header.ErrNoTag) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestAccessors(t *testing.T) {
	h := mustParse(t, build(header.TagHeaderImmutable, []record{
		text(header.TagName, "hello"),
		texts(header.TagProvideName, "a", "", "c"),
		u32s(header.TagFileFlags, 1, 2, 3),
		blob(header.TagRSAHeader, "\x00\x01"),
	}, nil))
	provides, err := h.Strings(header.TagProvideName)
	if err != nil || !cmp.Equal(provides, []string{"a", "", "c"}) {
		t.Errorf("Strings: %q, %v", provides, err)
	}
	flags, err := h.Uint32s(header.TagFileFlags)
	if err != nil || !cmp.Equal(flags, []uint32{1, 2, 3}) {
		t.Errorf("Uint32s: %v, %v", flags, err)
	}
	if v, err := h.Uint32(header.TagFileFlags); err != nil || v != 1 {
		t.Errorf("Uint32: %v, %v", v, err)
	}
	if v, err := h.Bytes(header.TagRSAHeader); err != nil || hex.EncodeToString(v) != "0001" {
		t.Errorf("Bytes: %x, %v", v, err)
	}
	if v, err := h.String(header.TagProvideName); err != nil || v != "a" {
		t.Errorf("String: %q, %v", v, err)
	}
	if _, err := h.Uint32(header.TagEpoch); !errors.Is(err, header.ErrNoTag) {
		t.Errorf("absent tag: %v", err)
	}
}

func TestNEVRA(t *testing.T) {
	for _, tt := range []struct {
		name    string
		records []record
		want    string // "" when refused
	}{
		{"all parts", nevraRecords(), "hello-3:1.0-2.noarch"},
		{"no epoch", without(nevraRecords(), header.TagEpoch), "hello-0:1.0-2.noarch"},
		{"public key", with(without(without(nevraRecords(), header.TagArch), header.TagEpoch), text(header.TagName, "gpg-pubkey")), "gpg-pubkey-0:1.0-2"},
		{"no architecture", without(nevraRecords(), header.TagArch), ""},
		{"no name", without(nevraRecords(), header.TagName), ""},
		{"no version", without(nevraRecords(), header.TagVersion), ""},
		{"no release", without(nevraRecords(), header.TagRelease), ""},
		{"epoch of another type", with(nevraRecords(), text(header.TagEpoch, "3")), ""},
		{"slash in name", with(nevraRecords(), text(header.TagName, "../hello")), ""},
		{"empty version", with(nevraRecords(), text(header.TagVersion, "")), ""},
		{"newline in release", with(nevraRecords(), text(header.TagRelease, "2\n")), ""},
	} {
		n, err := mustParse(t, build(header.TagHeaderImmutable, tt.records, nil)).NEVRA()
		switch {
		case tt.want == "" && err == nil:
			t.Errorf("%s: accepted as %s", tt.name, n.Full())
		case tt.want != "" && (err != nil || strings.TrimSuffix(n.Full(), ".") != tt.want):
			t.Errorf("%s: %q, %v, want %q", tt.name, n.Full(), err, tt.want)
		}
	}
}
