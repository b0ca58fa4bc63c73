// SPDX-License-Identifier: Apache-2.0

package digestlist_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist"
)

const mark = "~Module signature appended~\n"

func TestAppendSignatureGolden(t *testing.T) {
	for _, typ := range []digestlist.SigType{digestlist.SigPGP, digestlist.SigX509, digestlist.SigPKCS7} {
		want := "beforebodysignature" + "\x00\x00" + string(rune(typ)) + "\x00\x00\x00\x00\x00" + "\x00\x00\x00\x09" + mark
		got := digestlist.AppendSignature([]byte("before"), []byte("body"), []byte("signature"), typ)
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("type %d (-want +got):\n%s", typ, diff)
		}
		body, sig, back, err := digestlist.SplitSignature(got)
		if err != nil || string(body) != "beforebody" || string(sig) != "signature" || back != typ {
			t.Errorf("type %d: %q %q %d, %v", typ, body, sig, back, err)
		}
		// An append to the parts must not write over what follows them.
		_, _ = append(body, 'x'), append(sig, 'x')
		if string(got) != want {
			t.Error("the parts reach into each other")
		}
	}
}

// The form of the rpm plugin of digest-cache-tools: an OpenPGP packet under an
// rpm list passes through untouched.
func TestPGPPassthrough(t *testing.T) {
	region := makeHeader(8, regular("/a", repeated("ab", 32)))
	packet := []byte{0x89, 0x00, 0x01, 0x04}
	file := digestlist.AppendSignature(nil, digestlist.AppendRPM(nil, region), packet, digestlist.SigPGP)
	body, sig, typ, err := digestlist.SplitSignature(file)
	if err != nil || typ != digestlist.SigPGP || !bytes.Equal(sig, packet) {
		t.Fatalf("%x %d, %v", sig, typ, err)
	}
	if err := digestlist.WalkRPM(body, ignore); err != nil {
		t.Error(err)
	}
}

func TestSplitSignatureRefuses(t *testing.T) {
	// A body and a signature of 8 bytes each, so that the struct is at 16.
	signed := func(change func(head []byte)) []byte {
		f := digestlist.AppendSignature(nil, []byte("12345678"), []byte("abcdefgh"), digestlist.SigPKCS7)
		change(f[16:28])
		return f
	}
	set := func(i int, v byte) []byte { return signed(func(head []byte) { head[i] = v }) }
	for name, tc := range map[string]struct {
		file   []byte
		offset int
		field  string
		reason string
	}{
		"mark alone":            {[]byte(mark), 0, "module_signature", "0 bytes before the mark, want 12"},
		"half a struct":         {[]byte("\x00\x00\x02\x00\x00\x00" + mark), 0, "module_signature", "6 bytes"},
		"struct alone":          {signed(func([]byte) {})[16:], 8, "sig_len", "8 bytes, but the file has 0"},
		"algo":                  {set(0, 1), 16, "algo", "1, want 0"},
		"hash":                  {set(1, 4), 17, "hash", "4, want 0"},
		"id_type":               {set(2, 3), 18, "id_type", "unknown number 3"},
		"id_type 255":           {set(2, 255), 18, "id_type", "unknown number 255"},
		"signer_len":            {set(3, 9), 19, "signer_len", "9, want 0"},
		"key_id_len":            {set(4, 20), 20, "key_id_len", "20, want 0"},
		"pad 1":                 {set(5, 1), 21, "pad", "1, want 0"},
		"pad 2":                 {set(6, 1), 22, "pad", "1, want 0"},
		"pad 3":                 {set(7, 1), 23, "pad", "1, want 0"},
		"empty signature":       {set(11, 0), 24, "sig_len", "empty"},
		"no body":               {set(11, 16), 24, "sig_len", "16 bytes, but the file has 16"},
		"longer than the file":  {set(11, 17), 24, "sig_len", "17 bytes, but the file has 16"},
		"4 GiB less a byte":     {signed(func(h []byte) { copy(h[8:], "\xff\xff\xff\xff") }), 24, "sig_len", "4294967295 bytes"},
		"length, little-endian": {signed(func(h []byte) { copy(h[8:], "\x08\x00\x00\x00") }), 24, "sig_len", "134217728 bytes"},
		"signature of nothing":  {digestlist.AppendSignature(nil, nil, []byte("sig"), digestlist.SigPKCS7), 11, "sig_len", "3 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			body, sig, _, err := digestlist.SplitSignature(tc.file)
			wantSyntax(t, err, tc.offset, tc.field, tc.reason)
			if body != nil || sig != nil {
				t.Errorf("parts %q and %q", body, sig)
			}
		})
	}
	whole := signed(func([]byte) {})
	for name, file := range map[string][]byte{
		"empty":           nil,
		"body alone":      []byte("12345678"),
		"a byte too few":  whole[:len(whole)-1],
		"a byte too many": append(bytes.Clone(whole), '\n'),
		"mark cut":        []byte(mark[1:]),
	} {
		if _, _, _, err := digestlist.SplitSignature(file); !errors.Is(err, digestlist.ErrUnsigned) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzSplitSignature(f *testing.F) {
	f.Add(digestlist.AppendSignature(nil, []byte("body"), []byte("sig"), digestlist.SigPKCS7))
	f.Add([]byte(mark))
	f.Add([]byte("\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01" + mark))
	f.Fuzz(func(t *testing.T, file []byte) {
		body, sig, typ, err := digestlist.SplitSignature(file)
		if err != nil {
			return
		}
		if len(body) == 0 || len(sig) == 0 {
			t.Errorf("body of %d bytes, signature of %d", len(body), len(sig))
		}
		if again := digestlist.AppendSignature(nil, body, sig, typ); !bytes.Equal(again, file) {
			t.Errorf("%x became %x", file, again)
		}
	})
}
