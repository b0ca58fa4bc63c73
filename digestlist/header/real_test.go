// SPDX-License-Identifier: Apache-2.0

package header_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/integration/needs"
)

func realHeader(t testing.TB, name string) []byte {
	t.Helper()
	return needs.Data(t, "vectors/headers/"+name+".hdr.gz")
}

// Headers of real packages say here what rpm says of them.
func TestRealHeaders(t *testing.T) {
	for name, sigs := range map[string]int{"filesystem": 1, "rpm": 1, "gpg-pubkey": 0} {
		t.Run(name, func(t *testing.T) {
			want := needs.Data(t, "vectors/headers/"+name+".txt")
			h := mustParse(t, realHeader(t, name))
			if diff := cmp.Diff(string(want), describe(t, h)); diff != "" {
				t.Errorf("not as rpm says (-rpm +header):\n%s", diff)
			}
			region, err := h.Immutable()
			if err != nil {
				t.Fatal(err)
			}
			alone, err := header.ParseImmutable(region)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), describe(t, alone)); diff != "" {
				t.Errorf("region by itself not as rpm says (-rpm +header):\n%s", diff)
			}
			s := h.Signatures()
			if len(s) != sigs || sigs > 0 && (s[0].Tag != header.TagRSAHeader || len(s[0].Data) < 256) {
				t.Errorf("signatures %v", s)
			}
			if len(alone.Signatures()) != 0 {
				t.Error("the region has signatures of itself")
			}
			if sigs > 0 {
				sum, err := h.Unsigned().String(header.TagSHA256Header)
				if digest, derr := h.Digest(); err != nil || derr != nil || sum != hex.EncodeToString(digest[:]) {
					t.Errorf("digest %x, rpm says %s (%v, %v)", digest, sum, derr, err)
				}
			}
		})
	}
}

func describe(t *testing.T, h *header.Header) string {
	t.Helper()
	n, err := h.NEVRA()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := h.Digest()
	if err != nil {
		t.Fatal(err)
	}
	arch := n.Arch
	if arch == "" {
		arch = "-"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %s %s %s %x\n", n.Name, n.Epoch, n.Version, n.Release, arch, digest)
	lines, err := fileLines(h)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	return b.String()
}

func TestRealPubKey(t *testing.T) {
	keys := mustParse(t, realHeader(t, "gpg-pubkey")).PubKeys()
	if len(keys) != 1 || len(keys[0]) < 500 || keys[0][0]&0x80 == 0 {
		t.Errorf("keys %x", keys)
	}
}

func BenchmarkParse(b *testing.B) {
	blob := manyFiles()
	b.SetBytes(int64(len(blob)))
	for b.Loop() {
		if _, err := header.Parse(blob); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFiles(b *testing.B) {
	h := mustParse(b, manyFiles())
	n := 0
	for b.Loop() {
		n = 0
		if err := h.Files(func(header.File) error { n++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/file")
}
