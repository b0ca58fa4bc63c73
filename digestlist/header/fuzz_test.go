// SPDX-License-Identifier: Apache-2.0

package header_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/digestd/digestd/digestlist/header"
)

// FuzzParse looks for panics, for output out of proportion, and for a region
// that reads differently once it stands alone.
func FuzzParse(f *testing.F) {
	f.Add(manyFiles())
	f.Add(build(header.TagHeaderImmutable, append(nevraRecords(), fileRecords()...), []record{blob(header.TagRSAHeader, "x"), texts(header.TagOpenPGP, "eA==")}))
	f.Add(build(header.TagHeaderSignatures, []record{blob(header.TagRSAHeader, "x")}, nil))
	f.Add(build(0, nevraRecords(), nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		h, err := header.Parse(b)
		if err != nil {
			return
		}
		size := 0
		for _, s := range h.Signatures() {
			size += len(s.Data)
		}
		for _, k := range h.PubKeys() {
			size += len(k)
		}
		if size > 2*len(b) {
			t.Errorf("%d bytes of signatures and keys from %d", size, len(b))
		}
		name, nameErr := h.NEVRA()
		files, filesErr := fileLines(h)
		multi := h.MultiVersion()
		if len(files) > len(b) {
			t.Errorf("%d files from %d bytes", len(files), len(b))
		}
		if moved, _ := h.Relocations(); len(moved) > 1000 {
			t.Errorf("%d relocations", len(moved))
		}
		for _, tag := range []uint32{header.TagInstallTime, header.TagFileStates, header.TagSHA256Header} {
			_, _ = h.Unsigned().Strings(tag)
			_, _ = h.Unsigned().Uint32s(tag)
			_, _ = h.Unsigned().Bytes(tag)
		}
		if !bytes.Equal(b, before) {
			t.Error("reading changed the header")
		}

		region, err := h.Immutable()
		if err != nil {
			return
		}
		if digest, err := h.Digest(); err != nil || digest != sha256.Sum256(append([]byte(header.Magic), region...)) {
			t.Errorf("digest %x, %v", digest, err)
		}
		alone, err := header.ParseImmutable(region)
		if err != nil {
			t.Fatalf("region alone: %v", err)
		}
		name2, err := alone.NEVRA()
		if name2 != name || (err == nil) != (nameErr == nil) {
			t.Errorf("%v became %v", name, name2)
		}
		files2, err := fileLines(alone)
		if len(files2) != len(files) || (err == nil) != (filesErr == nil) || alone.MultiVersion() != multi {
			t.Errorf("%d files became %d", len(files), len(files2))
		}
	})
}
