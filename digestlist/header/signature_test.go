// SPDX-License-Identifier: Apache-2.0

package header_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist/header"
)

func TestSignatures(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	records := []record{
		blob(header.TagDSAHeader, "dsa"),
		blob(header.TagRSAHeader, "rsa"),
		text(header.TagSHA1Header, "0000"),
		texts(header.TagOpenPGP, b64([]byte("one")), b64([]byte("two"))+"\n", "not base64!"),
		blob(header.TagRSAHeader, "again"),
	}
	want := []header.Signature{
		{Tag: header.TagDSAHeader, Data: []byte("dsa")},
		{Tag: header.TagRSAHeader, Data: []byte("rsa")},
		{Tag: header.TagOpenPGP, Data: []byte("one")},
		{Tag: header.TagOpenPGP, Data: []byte("two")},
		{Tag: header.TagOpenPGP, Data: []byte("not base64!")},
		{Tag: header.TagRSAHeader, Data: []byte("again")},
	}
	for name, b := range map[string][]byte{
		"behind the region":     build(header.TagHeaderImmutable, nevraRecords(), records),
		"in a signature header": build(header.TagHeaderSignatures, records, nil),
	} {
		if diff := cmp.Diff(want, mustParse(t, b).Signatures()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if sigs := mustParse(t, build(header.TagHeaderImmutable, records, nil)).Signatures(); sigs != nil {
		t.Errorf("a region signs itself: %v", sigs)
	}
}

func TestSignaturesAreBounded(t *testing.T) {
	many := make([]record, 0, 200)
	for range 100 {
		many = append(many, blob(header.TagRSAHeader, "x"), texts(header.TagOpenPGP, "eA==", "eA=="))
	}
	if n := len(mustParse(t, build(header.TagHeaderImmutable, nevraRecords(), many)).Signatures()); n != 64 {
		t.Errorf("%d signatures", n)
	}
	big := []record{blob(header.TagRSAHeader, strings.Repeat("x", 64<<10+1)), blob(header.TagDSAHeader, "y")}
	if s := mustParse(t, build(header.TagHeaderImmutable, nevraRecords(), big)).Signatures(); len(s) != 1 || s[0].Tag != header.TagDSAHeader {
		t.Errorf("%d signatures", len(s))
	}
}

func TestPubKeys(t *testing.T) {
	armored := "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\neA==\n-----END PGP PUBLIC KEY BLOCK-----\n"
	for _, tt := range []struct {
		name    string
		records []record
		want    [][]byte
	}{
		{"base64", []record{texts(header.TagPubKeys, "b25l", "dHdv")}, [][]byte{[]byte("one"), []byte("two")}},
		{"base64 before description", []record{texts(header.TagPubKeys, "b25l"), text(header.TagDescription, armored)}, [][]byte{[]byte("one")}},
		{"description", []record{text(header.TagDescription, armored)}, [][]byte{[]byte(armored)}},
		{"other description", []record{text(header.TagDescription, "A friendly program")}, nil},
		{"nothing", nevraRecords(), nil},
	} {
		for _, region := range []uint32{0, header.TagHeaderImmutable} {
			if diff := cmp.Diff(tt.want, mustParse(t, build(region, tt.records, nil)).PubKeys()); diff != "" {
				t.Errorf("%s, region %d: %s", tt.name, region, diff)
			}
		}
	}
}

func TestMultiVersion(t *testing.T) {
	for provide, want := range map[string]bool{
		"installonlypkg(kernel)": true,
		"multiversion(kernel)":   true,
		"kernel":                 false,
		"installonlypkg":         false,
	} {
		h := mustParse(t, build(header.TagHeaderImmutable, append(nevraRecords(), texts(header.TagProvideName, "hello", provide)), nil))
		if got := h.MultiVersion(); got != want {
			t.Errorf("%s: %v", provide, got)
		}
	}
}
