// SPDX-License-Identifier: Apache-2.0

package label_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

const mine = "tlv-own-mine"

// body is that of an own list of files, by path and content.
func body(t *testing.T, files map[string]string) []byte {
	t.Helper()
	g := digestlist.Group{Algo: digestlist.SHA256}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256([]byte(files[path]))
		g.Entries = append(g.Entries, digestlist.Entry{Digest: sum[:], Path: path})
	}
	data, err := digestlist.AppendTLV(nil, []digestlist.Group{g})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// own publishes an own list, or another version of it.
func (m machine) own(t *testing.T, name string, files map[string]string) api.OwnResult {
	t.Helper()
	upload, err := m.OwnAppend(t.Context(), daemontest.Root, 0, body(t, files))
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.OwnPublish(t.Context(), daemontest.Root, api.OwnRequest{Name: name, Base: m.Snapshot().Own[name].Version, Upload: upload}, daemontest.Quiet)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The files of an own list are bound to it if they have its content and lie where it says;
// those that a package's list has stay with it.
func TestOwnListBindsFiles(t *testing.T) {
	m := start(t)
	m.pkg(t, "a", map[string]string{"/opt/packaged": "one", "/opt/edited": "two"})
	m.Sync(t)
	m.file(t, "/opt/packaged", "one", listA)
	m.file(t, "/opt/edited", "mine", listA)
	m.file(t, "/opt/tool", "tool", "")
	m.file(t, "/opt/changed", "theirs", "")
	m.file(t, "/opt/dir/behind", "behind", "")
	for link, to := range map[string]string{"/opt/link": "tool", "/opt/way": "dir"} {
		if err := os.Symlink(to, m.Path(link)); err != nil {
			t.Fatal(err)
		}
	}
	r := m.own(t, "mine", map[string]string{"/opt/packaged": "one", "/opt/edited": "mine", "/opt/tool": "tool", "/opt/changed": "mine",
		"/opt/link": "tool", "/opt/way/behind": "behind", "/opt/missing": "missing"})
	if r.Labelled != 2 || r.Kept != 1 || r.Missing != 4 || r.Unlabelled != 0 {
		t.Errorf("%+v, want 2 bound, 1 left to its package, 4 missing", r)
	}
	want := map[string]string{"/opt/packaged": listA, "/opt/edited": mine, "/opt/tool": mine, "/opt/changed": "", "/opt/dir/behind": ""}
	m.wantLabels(t, "published", want)
	// Another version frees what it has no more, to the list of a package if that has the path.
	m.own(t, "mine", map[string]string{"/opt/packaged": "one"})
	want["/opt/edited"], want["/opt/tool"] = listA, ""
	m.wantLabels(t, "published anew", want)
}

// A list that was imported has the paths of another machine, where links lie otherwise.
func TestImportedListFollowsLinks(t *testing.T) {
	m := start(t)
	m.file(t, "/opt/usr/tool", "tool", "")
	if err := os.Symlink("usr", m.Path("/opt/bin")); err != nil {
		t.Fatal(err)
	}
	files := body(t, map[string]string{"/opt/bin/tool": "tool"})
	for _, imported := range []bool{false, true} {
		r := api.OwnResult{Files: 1}
		if err := m.Labels.BindOwn(t.Context(), mine, imported, files, &r, daemontest.Quiet); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{false: 0, true: 1}[imported]; r.Labelled != want || r.Labelled+r.Missing != 1 {
			t.Errorf("imported %t: %+v", imported, r)
		}
	}
	m.wantLabels(t, "imported", map[string]string{"/opt/usr/tool": mine})
}

// Files that resist are not bound, which is said of those that have no label: the kernel
// looks into every list for them. One that is bound to another list is left for later.
func TestOwnFileThatResists(t *testing.T) {
	m := start(t)
	m.file(t, "/opt/free", "one", "")
	m.file(t, "/opt/bound", "two", gone)
	melt := m.freeze(t, "/opt/free")
	melt2 := m.freeze(t, "/opt/bound")
	r := m.own(t, "mine", map[string]string{"/opt/free": "one", "/opt/bound": "two"})
	if r.Labelled != 0 || r.Unlabelled != 1 || !slices.Equal(m.left(t), []string{"/opt/bound"}) {
		t.Errorf("%+v, left are %v", r, m.left(t))
	}
	melt()
	melt2()
	// The remaining files are free then: whether it is what the list has is not looked at.
	if m.Labels.Retry(t.Context()) {
		t.Errorf("left are %v", m.left(t))
	}
	m.wantLabels(t, "later", map[string]string{"/opt/free": "", "/opt/bound": ""})
}

// The files of a list that is removed are free, or bound to another list that has them; to
// an own list only if that has their content.
func TestOwnListFreesFiles(t *testing.T) {
	m := start(t)
	m.pkg(t, "a", map[string]string{"/opt/packaged": "one"})
	m.Sync(t)
	m.file(t, "/opt/packaged", "mine", "")
	m.file(t, "/opt/alone", "two", "")
	m.file(t, "/opt/both", "three", "")
	m.file(t, "/opt/path", "four", "")
	m.own(t, "mine", map[string]string{"/opt/packaged": "mine", "/opt/alone": "two", "/opt/both": "three", "/opt/path": "four"})
	m.own(t, "other", map[string]string{"/opt/both": "three", "/opt/path": "another"})
	for _, path := range []string{"/opt/packaged", "/opt/alone", "/opt/both", "/opt/path"} {
		m.file(t, path, map[string]string{"/opt/packaged": "mine", "/opt/alone": "two", "/opt/both": "three", "/opt/path": "four"}[path], mine)
	}
	if _, err := m.OwnRemove(t.Context(), daemontest.Root, "mine", "", daemontest.Quiet); err != nil {
		t.Fatal(err)
	}
	m.wantLabels(t, "removed", map[string]string{"/opt/packaged": listA, "/opt/alone": "", "/opt/both": "tlv-own-other", "/opt/path": ""})
}

// If a caller with many files goes away, not all of them are looked at; a published list stays
// published, and the error says so.
func TestCallerGoes(t *testing.T) {
	m := start(t)
	files := map[string]string{}
	for i := range 3000 {
		files[string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676))] = "content"
	}
	absolute := map[string]string{}
	for name, content := range files {
		absolute["/opt/"+name] = content
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	steps := 0
	report := func(string, int, int) { steps++ }
	r := api.OwnResult{Files: len(absolute)}
	if err := m.Labels.BindOwn(ctx, mine, false, body(t, absolute), &r, report); !errors.Is(err, context.Canceled) || steps != 1 {
		t.Errorf("after %d steps: %v", steps, err)
	}
	steps = 0
	err := m.Labels.FreeFiles(ctx, &view.Entry{List: record.List{Name: mine}}, body(t, absolute), nil, &r, report)
	if !errors.Is(err, context.Canceled) || steps != 1 {
		t.Errorf("after %d steps: %v", steps, err)
	}
}

// The labels of lists that were not held while the kernel could look into them are written
// anew when that is asked for, and are forgotten then.
func TestStaleLabels(t *testing.T) {
	m := start(t)
	m.pkg(t, "a", map[string]string{"/opt/a": "one"})
	m.Sync(t)
	m.file(t, "/opt/a", "one", listA)
	daemontest.Loop(t, m.Labels.Run)
	m.Enter(t, func(s *ledger.Ledger) {
		if s.Labels.Stale == nil {
			s.Labels.Stale = map[string]bool{}
		}
		s.Labels.Stale[listA] = true
	})
	m.LabelsWanted <- struct{}{}
	daemontest.Await(t, "what is stale is taken up", func() bool {
		left := 0
		m.Enter(t, func(s *ledger.Ledger) { left = len(s.Labels.Stale) })
		return left == 0
	})
	m.wantLabels(t, "anew", map[string]string{"/opt/a": listA})
}
