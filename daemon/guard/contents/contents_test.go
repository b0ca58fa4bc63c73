// SPDX-License-Identifier: Apache-2.0

package contents_test

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/guard/contents"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store/record"
)

const name = "tlv-tool-0:1-1.noarch"

// listOf makes a list of files by one algorithm.
func listOf(t *testing.T, algo digestlist.Algo, files map[string]string) []byte {
	t.Helper()
	group := digestlist.Group{Algo: algo}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256([]byte(files[path]))
		digest := sum[:]
		if algo == digestlist.SHA512 {
			wide := sha512.Sum512([]byte(files[path]))
			digest = wide[:]
		}
		group.Entries = append(group.Entries, digestlist.Entry{Path: path, Digest: digest})
	}
	list, err := digestlist.AppendTLV(nil, []digestlist.Group{group})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func digests(contents ...string) (all []guard.Digest) {
	for _, c := range contents {
		all = append(all, sha256.Sum256([]byte(c)))
	}
	slices.SortFunc(all, func(a, b guard.Digest) int { return slices.Compare(a[:], b[:]) })
	return all
}

func TestListBySHA256(t *testing.T) {
	list := listOf(t, digestlist.SHA256, map[string]string{"/a": "x", "/b": "y", "/c": "x", "/usr/sbin/digestd-guard": "guard"})
	k, err := contents.Of(name, list, nil)
	if err != nil || !slices.Equal(k.Digests, digests("x", "y", "guard")) || k.Missing != 0 {
		t.Errorf("%+v, %v", k, err)
	}
	if !slices.Equal(k.Keepers, digests("guard")) {
		t.Errorf("keepers are %x", k.Keepers)
	}
	if _, err := contents.Of("nonsense", list, nil); err == nil {
		t.Error("a list without a format was read")
	}
}

// A content of which a list has the SHA-512 becomes known by reading, if the file matches the
// list, and stays known under the list's body.
func TestLearn(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root, err := kernel.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	list := listOf(t, digestlist.SHA512, map[string]string{"/a": "x", "/b": "y", "/c": "z", "/elsewhere/d": "d"})
	body := contents.BodyOf(list)
	k, err := contents.Of(name, list, nil)
	if err != nil || len(k.Digests) != 0 || k.Missing != 4 {
		t.Fatalf("%+v, %v", k, err)
	}
	write("a", "x")
	write("b", "altered")
	write("d", "d")
	l := contents.NewLearner(root)
	moved := header.Relocations{{From: []byte("/elsewhere"), To: []byte("/")}}
	r, err := l.Learn(t.Context(), name, list, moved, nil)
	if err != nil || r.Others != 4 || r.Known != 2 || r.New != 2 || r.Absent != 2 || r.Failed != 0 || r.Body != body {
		t.Fatalf("%+v, %v", r, err)
	}
	known := func(sums contents.Sums, want ...string) {
		t.Helper()
		k, err := contents.Of(name, list, map[record.Digest]contents.Sums{body: sums})
		if err != nil || !slices.Equal(k.Digests, digests(want...)) || k.Missing != 4-len(want) {
			t.Errorf("known are %d, missing %d, %v; want %v", len(k.Digests), k.Missing, err, want)
		}
	}
	known(r.Sums, "x", "d")
	write("b", "y")
	again, err := l.Learn(t.Context(), name, list, moved, r.Sums)
	if err != nil || again.Known != 3 || again.New != 1 {
		t.Errorf("%+v, %v", again, err)
	}
	known(again.Sums, "x", "d", "y")
	known(r.Sums, "x", "d") // what was given is not changed

	kept := contents.Load(map[string][]byte{
		contents.Key(body): again.Sums, "order": []byte("{}"), contents.Prefix + "zz": again.Sums, contents.Key(record.Digest{1}): []byte("short"),
	})
	if len(kept) != 1 || !slices.Equal(kept[body], again.Sums) {
		t.Errorf("loaded are %d", len(kept))
	}
	// Sums of another list are not its.
	if k, err := contents.Of(name, list, map[record.Digest]contents.Sums{{9}: again.Sums}); err != nil || k.Missing != 4 {
		t.Errorf("%+v, %v", k, err)
	}
}

// A file that cannot be read keeps none of the others from being read.
func TestLearnGoesOn(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "b"), []byte("y"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(dir, "a")); err != nil { // leads to itself
		t.Fatal(err)
	}
	root, err := kernel.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	list := listOf(t, digestlist.SHA512, map[string]string{"/a/x": "x", "/b": "y"})
	r, err := contents.NewLearner(root).Learn(t.Context(), name, list, nil, nil)
	if err != nil || r.Failed != 1 || r.New != 1 || r.Err == nil || !strings.Contains(r.Err.Error(), "/a/x") {
		t.Errorf("%+v, %v", r, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := errors.New("ended")
	cancel(ended)
	if _, err := contents.NewLearner(root).Learn(ctx, name, list, nil, nil); !errors.Is(err, ended) {
		t.Errorf("after the end: %v", err)
	}
}

// For any record and any list: no panic, and no digest that is not there.
func FuzzOf(f *testing.F) {
	list, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA512, Entries: []digestlist.Entry{{Path: "/a", Digest: make([]byte, 64)}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(list, []byte("0123456789abcdef0123456789abcdef"))
	f.Add(list, []byte("short"))
	f.Fuzz(func(t *testing.T, list, sums []byte) {
		kept := contents.Load(map[string][]byte{contents.Key(contents.BodyOf(list)): sums})
		k, err := contents.Of(name, list, kept)
		if err == nil && (!slices.IsSortedFunc(k.Digests, contents.Compare) || k.Missing < 0) {
			t.Errorf("%+v", k)
		}
	})
}
