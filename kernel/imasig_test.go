// SPDX-License-Identifier: Apache-2.0

package kernel_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel"
)

func TestIMASignatureValue(t *testing.T) {
	s := kernel.IMASignature{Hash: 4, KeyID: [4]byte{0xde, 0xad, 0xbe, 0xef}, Signature: []byte{1, 2, 3}}
	const want = "030204deadbeef0003010203"
	if got := hex.EncodeToString(s.Value()); got != want {
		t.Errorf("value is %s, want %s", got, want)
	}
	back, err := kernel.ParseIMASignature(s.Value())
	if err != nil || back.Hash != s.Hash || back.KeyID != s.KeyID || !bytes.Equal(back.Signature, s.Signature) {
		t.Errorf("read back as %+v, %v", back, err)
	}
}

func TestIMASignatureMalformed(t *testing.T) {
	for _, text := range []string{
		"", "03", "0302", "030204deadbeef00",
		"0404" + "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", // a digest
		"030104deadbeef0003010203",   // version 1
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
	want := kernel.IMASignature{Hash: 4, Signature: []byte{1}}.Value()
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
