// SPDX-License-Identifier: Apache-2.0

package kernel_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel"
)

func TestIMASignatureValue(t *testing.T) {
	for version, want := range map[uint8]string{kernel.IMAVersion2: "030204deadbeef0003010203", kernel.IMAVersion3: "030304deadbeef0003010203"} {
		s := kernel.IMASignature{Version: version, Hash: 4, KeyID: [4]byte{0xde, 0xad, 0xbe, 0xef}, Signature: []byte{1, 2, 3}}
		if got := hex.EncodeToString(s.Value()); got != want {
			t.Errorf("value is %s, want %s", got, want)
		}
		back, err := kernel.ParseIMASignature(s.Value())
		if err != nil || back.Version != version || back.Hash != s.Hash || back.KeyID != s.KeyID || !bytes.Equal(back.Signature, s.Signature) {
			t.Errorf("read back as %+v, %v", back, err)
		}
	}
}

// Version 3 signs the type of the attribute and the number of the algorithm with the
// digest (security/integrity/digsig_asymmetric.c, calc_file_id_hash).
func TestIMASigned(t *testing.T) {
	digest := sha256.Sum256([]byte("content"))
	if got := kernel.IMASigned(kernel.IMAVersion2, 4, crypto.SHA256, digest[:]); !bytes.Equal(got, digest[:]) {
		t.Errorf("version 2 signs %x, want %x", got, digest)
	}
	want := sha256.Sum256(append([]byte{3, 4}, digest[:]...))
	if got := kernel.IMASigned(kernel.IMAVersion3, 4, crypto.SHA256, digest[:]); !bytes.Equal(got, want[:]) {
		t.Errorf("version 3 signs %x, want %x", got, want)
	}
	long := sha512.Sum512([]byte("content"))
	wide := sha512.Sum512(append([]byte{3, 6}, long[:]...))
	if got := kernel.IMASigned(kernel.IMAVersion3, 6, crypto.SHA512, long[:]); !bytes.Equal(got, wide[:]) {
		t.Errorf("version 3 of SHA-512 signs %x, want %x", got, wide)
	}
}

func TestIMASignatureMalformed(t *testing.T) {
	for _, text := range []string{
		"", "03", "0302", "030204deadbeef00",
		"0404" + "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", // a digest
		"030104deadbeef0003010203",   // version 1
		"030404deadbeef0003010203",   // version 4
		"030204deadbeef0004010203",   // too short
		"030204deadbeef000301020304", // too long
	} {
		value, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := kernel.ParseIMASignature(value); err == nil {
			t.Errorf("%s is read as %+v", text, s)
		}
	}
}

func FuzzIMASignature(f *testing.F) {
	f.Add([]byte{3, 2, 4, 0xde, 0xad, 0xbe, 0xef, 0, 3, 1, 2, 3})
	f.Add([]byte{3, 3, 6, 0xde, 0xad, 0xbe, 0xef, 0, 3, 1, 2, 3})
	f.Fuzz(func(t *testing.T, value []byte) {
		if s, err := kernel.ParseIMASignature(value); err == nil && !bytes.Equal(s.Value(), value) {
			t.Errorf("%x is read as %+v, which is %x", value, s, s.Value())
		}
	})
}

func TestIMAAttribute(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := kernel.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	file, err := root.Find("/file", false)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if v, err := file.IMA(); v != nil || err != nil {
		t.Errorf("a new file has %x, %v", v, err)
	}
	if err := file.RemoveIMA(); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
	want := kernel.IMASignature{Version: kernel.IMAVersion2, Hash: 4, Signature: []byte{1}}.Value()
	if err := file.SetIMA(want); err != nil {
		t.Fatal(err)
	}
	if v, err := file.IMA(); !bytes.Equal(v, want) || err != nil {
		t.Errorf("it has %x, %v, want %x", v, err, want)
	}
	if err := file.RemoveIMA(); err != nil {
		t.Fatal(err)
	}
	if v, err := file.IMA(); v != nil || err != nil {
		t.Errorf("after removal it has %x, %v", v, err)
	}
}
