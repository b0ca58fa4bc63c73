// SPDX-License-Identifier: Apache-2.0

package userfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
)

func TestReadList(t *testing.T) {
	const body = "what is signed"
	signed := string(digestlist.AppendSignature(nil, []byte(body), []byte("signature"), digestlist.SigPKCS7))
	dir := place(t, map[string]string{
		"tlv-unsigned": body, "tlv-signed": signed, "rpm-named": body, "7-rpm-numbered": body, "plain": body, "content": header.Magic + body,
	})
	for name, want := range map[string]userfile.List{
		"tlv-unsigned":   {Format: "tlv", Content: []byte(body)},
		"tlv-signed":     {Format: "tlv", Content: []byte(body), Sig: []byte("signature"), Kind: digestlist.SigPKCS7},
		"rpm-named":      {Format: "rpm", Content: []byte(body)},
		"7-rpm-numbered": {Format: "rpm", Content: []byte(body)},
		"plain":          {Format: "tlv", Content: []byte(body)},
		"content":        {Format: "rpm", Content: []byte(header.Magic + body)}, // what it has counts, not what it is called
	} {
		file, got, err := userfile.ReadList(filepath.Join(dir, name))
		if err != nil || got.Format != want.Format || !bytes.Equal(got.Content, want.Content) || !bytes.Equal(got.Sig, want.Sig) || got.Kind != want.Kind {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
		if on, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(file, on) {
			t.Errorf("%s: the file is %q, %v", name, file, err)
		}
	}
	if _, _, err := userfile.ReadList(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	if _, _, err := userfile.ReadList(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestReadAtMost(t *testing.T) {
	for size, most := range map[int]int{0: 0, 3: 3, 4: 3} {
		data, err := userfile.ReadAtMost(strings.NewReader(strings.Repeat("x", size)), most)
		if (err == nil) != (size <= most) {
			t.Errorf("%d bytes, at most %d: %d bytes, %v", size, most, len(data), err)
		}
	}
}
