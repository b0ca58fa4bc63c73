// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
)

func TestBanned(t *testing.T) {
	one, two, wide := sha256.Sum256([]byte("1")), sha256.Sum256([]byte("2")), sha512.Sum512([]byte("3"))
	entry := func(digest []byte) string { return "bin:" + hex.EncodeToString(digest) }
	b := view.Ban([]string{entry(one[:]), entry(wide[:]), "bin:" + strings.Repeat("ab", 20), "tbs:" + hex.EncodeToString(two[:]), "bin:zz", "bin:", ""})
	if len(b.Entries) != 2 {
		t.Fatalf("banned are %q", b.Entries)
	}
	if got := b.List(one); got != entry(one[:]) {
		t.Errorf("the list is named by %q", got)
	}
	if got := b.List(two); got != "" {
		t.Errorf("another list is named by %q", got)
	}
	refs := func(digests ...[]byte) *view.Refs {
		r := &view.Refs{}
		for _, d := range digests {
			r.Digests = append(r.Digests, view.DigestRef(d))
		}
		slices.Sort(r.Digests)
		return r
	}
	if got := b.Files(refs(two[:], wide[:])); !slices.Equal(got, []string{entry(wide[:])}) {
		t.Errorf("files are named by %q", got)
	}
	if got := b.Files(refs(two[:])); got != nil {
		t.Errorf("files that nobody names are named by %q", got)
	}
	if got := b.Files(nil); got != nil {
		t.Errorf("no files are named by %q", got)
	}
	denials := policy.NewDenials(b.Denials(), time.Time{})
	if d := denials.Content(digestlist.SHA512, wide[:]); d == nil || !d.Foreign || !strings.Contains(d.Because(), entry(wide[:])) {
		t.Errorf("the file is denied by %+v", d)
	}
	if d := denials.Content(digestlist.SHA256, two[:]); d != nil {
		t.Errorf("another file is denied by %+v", d)
	}
}
