// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
)

// tlv is a list of the files of those paths.
func tlv(t *testing.T, algo digestlist.Algo, paths ...string) string {
	t.Helper()
	group := digestlist.Group{Algo: algo}
	for _, path := range paths {
		sum := sha256.Sum256([]byte(path))
		digest := append(sum[:], sum[:]...)[:algo.Size()]
		group.Entries = append(group.Entries, digestlist.Entry{Digest: digest, Path: path})
	}
	list, err := digestlist.AppendTLV(nil, []digestlist.Group{group})
	if err != nil {
		t.Fatal(err)
	}
	return string(list)
}

// known places a list and enters what its content is.
func (m *machine) known(t *testing.T, name, content string) *view.Entry {
	t.Helper()
	e := *m.place(t, name, content)
	e.File = sha256.Sum256([]byte(content))
	e.Body = e.File
	if err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error { s.Save(&e); s.Record(); return nil }); err != nil {
		t.Fatal(err)
	}
	m.did = nil
	return &e
}

// Of many lists, which are read at the same time, each is seen as it is.
func TestInspectMany(t *testing.T) {
	m := newMachine(t)
	contents := map[string]string{}
	for i := range 150 {
		contents[fmt.Sprintf("0-tlv-%03d", i)] = tlv(t, digestlist.SHA256, fmt.Sprintf("/usr/bin/%d", i))
	}
	if err := m.Decide(t.Context(), "place", func(s *ledger.Ledger) error {
		for name, content := range contents {
			m.publish(t, s, name, content)
		}
		s.Record()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
		for name, content := range contents {
			e := *s.ByName[name]
			e.File, e.Stamp = sha256.Sum256([]byte(content)), record.Stamp{} // as after a start
			s.Put(&e)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	altered := []string{"0-tlv-007", "0-tlv-063", "0-tlv-064", "0-tlv-149"}
	for _, name := range altered {
		if err := os.WriteFile(filepath.Join(m.dir.Path(), name), []byte("altered"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Inspect(nil); err != nil {
		t.Fatal(err)
	}
	var broken []string
	for i, e := range m.State.Sorted() {
		switch {
		case e.Broken:
			broken = append(broken, e.Name)
		case e.Refs == nil || len(e.Refs.Paths) != 1 || !e.Refs.HasPath(view.PathRef(fmt.Appendf(nil, "/usr/bin/%d", i))):
			t.Errorf("%s was seen as %+v", e.Name, e.Refs)
		}
	}
	if !slices.Equal(broken, altered) {
		t.Errorf("%q are to be made anew, want %q", broken, altered)
	}
}

// Changes of lists by another program are found, reported, and marked to be made again; a list
// with its stamp is not read, and one that only looks different stays.
func TestInspect(t *testing.T) {
	m := newMachine(t)
	content := tlv(t, digestlist.SHA256, "/usr/bin/true", "/usr/bin/false")
	for _, name := range []string{"0-tlv-same", "0-tlv-touched", "0-tlv-altered", "0-tlv-gone", "0-tlv-linked", "0-tlv-directory", "0-tlv-unread", "0-tlv-unseen", "0-tlv-huge"} {
		m.known(t, name, content)
	}
	path := func(name string) string { return filepath.Join(m.dir.Path(), name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	later := time.Now().Add(time.Hour)
	must(os.Chtimes(path("0-tlv-touched"), later, later))
	must(os.WriteFile(path("0-tlv-altered"), []byte("altered"), 0o644))
	must(os.Remove(path("0-tlv-gone")))
	must(os.Link(path("0-tlv-linked"), filepath.Join(m.dir.Path(), "..", "second")))
	must(os.Remove(path("0-tlv-directory")))
	must(os.Mkdir(path("0-tlv-directory"), 0o755))
	must(os.Chtimes(path("0-tlv-unread"), later, later))
	must(os.Truncate(path("0-tlv-huge"), 1<<40))
	m.fail["read 0-tlv-same"] = errDisk // it would be seen
	m.fail["read 0-tlv-unread"] = &os.PathError{Op: "read", Path: "x", Err: errDisk}
	m.fail["stat 0-tlv-unseen"] = errDisk
	if err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
		s.Asides = []record.Aside{{Name: "taken-away"}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Inspect(nil); err != nil {
		t.Fatal(err)
	}
	var broken []string
	for _, e := range m.State.Sorted() {
		if e.Broken {
			broken = append(broken, strings.TrimPrefix(e.Name, "0-tlv-"))
		}
	}
	if got := strings.Join(broken, " "); got != "altered directory gone huge linked" {
		t.Errorf("to be made anew: %s", got)
	}
	if got := m.holds(t); got != "0-tlv-same 0-tlv-touched 0-tlv-unread 0-tlv-unseen" {
		t.Errorf("the directory holds %s", got)
	}
	if e := m.State.ByName["0-tlv-touched"]; e.Refs == nil || len(e.Refs.Digests) != 2 || e.Stamp.Mtime != later.UnixNano() {
		t.Errorf("what was only touched is %+v", e)
	}
	if e := m.State.ByName["0-tlv-unread"]; e.Change != record.Publishing || !m.State.Anew {
		t.Errorf("what cannot be read is %+v", e)
	}
	var asides []string
	for _, a := range m.State.Asides {
		asides = append(asides, strings.TrimPrefix(a.List, "0-tlv-"))
	}
	if slices.Sort(asides); !slices.Equal(asides, []string{"altered", "directory", "linked"}) {
		t.Errorf("in quarantine, which has no room for what is huge: %q", asides)
	}

	// A crash may leave a file in quarantine of which the index knows nothing.
	must(os.WriteFile(filepath.Join(m.dir.QuarantinePath(), "20251231T235959Z-0-tlv-late"), []byte("another program's"), 0o644))
	for range 2 {
		if _, err := m.Inspect(nil); err != nil {
			t.Fatal(err)
		}
		if n := len(m.State.Asides); n != 4 || m.State.Asides[3].List != "0-tlv-late" || m.State.Asides[3].Size != 17 {
			t.Errorf("in quarantine: %+v", m.State.Asides)
		}
	}
	if c, err := m.index.Load(); err != nil || len(c.Asides) < 1 {
		t.Errorf("%v, the index has %+v", err, c.Asides)
	}

	// One name, and what lies under it that nobody published.
	must(os.WriteFile(path("0-tlv-x"), []byte("another program's"), 0o644))
	if _, err := m.Inspect(map[string]bool{"0-tlv-x": true, "0-tlv-none": true}); err != nil || strings.Contains(m.holds(t), "0-tlv-x") {
		t.Errorf("%v; the directory holds %s", err, m.holds(t))
	}

	// Another directory in the place of the one that is open.
	must(os.Rename(m.dir.Path(), m.dir.Path()+".away"))
	must(os.Mkdir(m.dir.Path(), 0o755))
	if _, err := m.Inspect(nil); err == nil || m.State.Problems[len(m.State.Problems)-1].ID != "directory" {
		t.Errorf("%v, told: %+v", err, m.State.Problems)
	}
}

// Unexpected files in the directory are set aside, and an error says if the directory cannot be
// read.
func TestStrangers(t *testing.T) {
	m := newMachine(t)
	m.place(t, "0-tlv-ours", "ours")
	if aside, _, err := m.Strangers(); aside != 0 || err != nil {
		t.Errorf("%d are set aside, %v", aside, err)
	}
	for _, name := range []string{"0-tlv-x", "0-tlv-y"} {
		if err := os.WriteFile(filepath.Join(m.dir.Path(), name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m.fail["size 0-tlv-y"] = errDisk
	if aside, _, err := m.Strangers(); aside != 2 || err != nil || m.holds(t) != "0-tlv-ours" {
		t.Errorf("%d are set aside, %v; the directory holds %s", aside, err, m.holds(t))
	}
	m.fail["names"] = errDisk
	if _, _, err := m.Strangers(); !errors.Is(err, errDisk) {
		t.Errorf("what is there cannot be listed: %v", err)
	}
	// An act that forbids lists has what is not known leave as well, and says so if that
	// cannot be done.
	forbid := func(s *ledger.Ledger) error { s.Unsettled = true; s.WithdrawUnknown(); return nil }
	if err := m.Decide(t.Context(), "test", forbid); !errors.Is(err, errDisk) {
		t.Errorf("what is there cannot be listed: %v", err)
	}
	clear(m.fail)
	if err := os.WriteFile(filepath.Join(m.dir.Path(), "0-tlv-z"), make([]byte, executor.TornBlock), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.Decide(t.Context(), "test", forbid); err != nil || m.holds(t) != "0-tlv-ours" || len(m.State.Asides) != 2 {
		t.Errorf("%v; the directory holds %s, aside: %+v", err, m.holds(t), m.State.Asides)
	}
}

// A list that a loss of power damaged is told from a file that another program put there.
func TestTorn(t *testing.T) {
	list := tlv(t, digestlist.SHA256, "/usr/bin/true")
	var paths []string
	for i := range 200 {
		paths = append(paths, fmt.Sprintf("/usr/share/some/longer/path/%d", i))
	}
	long := tlv(t, digestlist.SHA256, paths...)
	hole := []byte(long)
	copy(hole[executor.TornBlock:], make([]byte, executor.TornBlock))
	for what, c := range map[string]struct {
		content string
		torn    bool
	}{
		"nothing":        {"", true},
		"zeros":          {string(make([]byte, 10)), true},
		"whole":          {list, false},
		"whole, longer":  {long, false},
		"a part":         {long[:executor.TornBlock], true},
		"a hole":         {string(hole), true},
		"a hole, signed": {string(digestlist.AppendSignature(nil, hole, []byte("signature"), digestlist.SigPKCS7)), true},
		"whole, signed":  {string(digestlist.AppendSignature(nil, []byte(list), []byte("signature"), digestlist.SigPKCS7)), false},
		"zeros at last":  {long[:executor.TornBlock] + string(make([]byte, 7)), true},
	} {
		m := newMachine(t)
		m.State.Unsettled = true
		if err := os.WriteFile(filepath.Join(m.dir.Path(), "0-tlv-x"), []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		aside, _, err := m.Strangers()
		if err != nil || m.holds(t) != "" || (aside == 0) != c.torn {
			t.Errorf("%s: %d set aside, %v; the directory holds %s", what, aside, err, m.holds(t))
		}
	}
}

// Refs have each file of a list, in order.
func TestMakeRefs(t *testing.T) {
	for algo, wide := range map[digestlist.Algo]bool{digestlist.SHA256: false, digestlist.SHA512: true} {
		refs, err := executor.MakeRefs("tlv", []byte(tlv(t, algo, "/a", "/b", "/c")), 0)
		if err != nil || len(refs.Digests) != 3 || len(refs.Paths) != 3 || !slices.IsSorted(refs.Digests) || !slices.IsSorted(refs.Paths) || refs.Wide != wide {
			t.Fatalf("%v: %+v, %v", algo, refs, err)
		}
		sum := sha256.Sum256([]byte("/b"))
		if !refs.HasDigest(view.DigestRef(sum[:])) || !refs.HasPath(view.PathRef([]byte("/b"))) || refs.HasPath(view.PathRef([]byte("/d"))) {
			t.Errorf("%v: a file is not found", algo)
		}
	}
	if _, err := executor.MakeRefs("tlv", bytes.Repeat([]byte{1}, 50), 0); err == nil {
		t.Error("what is no list has files")
	}
}

// The end of a transaction has its lists on the disk before they are recorded: those that
// were begun to be written beside it, and those that come with it.
func TestEnd(t *testing.T) {
	for _, c := range []struct {
		lists int
		fail  string
	}{{1, ""}, {70, ""}, {1, "sync lists"}} {
		m := newMachine(t)
		tr := &state.Transaction{Added: map[record.Digest]*state.Addition{}, ByIndex: map[uint32]*state.Addition{}}
		enter := func(what string, fact func(s *ledger.Ledger) error) {
			t.Helper()
			if err := m.Enter(t.Context(), what, fact); err != nil {
				t.Fatal(err)
			}
		}
		enter("begin", func(s *ledger.Ledger) error { s.Opened(tr); s.Record(); return nil })
		for i := range c.lists {
			name := fmt.Sprintf("0-tlv-p%d", i)
			staged := m.staged(t, name)
			enter("header", func(s *ledger.Ledger) error {
				candidate := &view.Candidate{Pkg: nevra.NEVRA{Name: name[6:], EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"}, Header: record.Digest{byte(i), 1}, Name: name, Basis: s.Basis}
				candidate.Body, candidate.Staged = record.Digest{byte(i), 2}, staged
				_, err := s.Add(tr, uint32(i), candidate)
				return err
			})
			enter("installed", func(s *ledger.Ledger) error { s.Installed(tr, uint32(i)); return nil })
		}
		if got := m.recorded(t); got != "open" {
			t.Errorf("%d lists: before the end the index holds %q", c.lists, got)
		}
		m.did = nil
		if c.fail != "" {
			m.fail[c.fail] = errDisk
		}
		published, withdrawn, err := m.End(t.Context(), tr)
		if published != c.lists || withdrawn != 0 || (err != nil) != (c.fail != "") {
			t.Errorf("%d lists: %d published, %d withdrawn, %v", c.lists, published, withdrawn, err)
		}
		if len(m.State.Open) != 0 || !slices.Contains(m.did, "tell finished") || m.State.Unsettled != (c.fail != "") {
			t.Errorf("%d lists: done: %q", c.lists, m.did)
		}
		found, err := m.index.Load()
		if err != nil || len(found.Lists) != c.lists || (found.Meta[state.MetaOpen] != nil) != (c.fail != "") || (found.Lists[0].Change != "") != (c.fail != "") {
			t.Errorf("%d lists: the index holds %+v", c.lists, found.Lists)
		}
	}
}

// A comparison withdraws what is not installed, sets aside what is not known, and makes
// the rest durable.
func TestReconcile(t *testing.T) {
	m := newMachine(t)
	m.known(t, "0-tlv-stay", tlv(t, digestlist.SHA256, "/a"))
	m.known(t, "0-tlv-go", tlv(t, digestlist.SHA256, "/b"))
	if err := os.WriteFile(filepath.Join(m.dir.Path(), "0-tlv-x"), []byte("another program's"), 0o644); err != nil {
		t.Fatal(err)
	}
	stays := m.State.ByName["0-tlv-stay"]
	found := []state.InstalledPackage{{Pkg: stays.Package, Header: stays.Header}}
	r, done, err := m.Reconcile(nil, found, time.Now())
	if err != nil || r.Installed != 1 || r.Withdrawn != 1 || r.Quarantined != 1 || len(done.Gone) != 1 || done.Gone[0].Entry.Name != "0-tlv-go" {
		t.Errorf("%+v, %v; gone: %+v", r, err, done.Gone)
	}
	if m.holds(t) != "0-tlv-stay" || m.recorded(t) != "0-tlv-go 0-tlv-stay" {
		t.Errorf("the directory holds %s, the index %s", m.holds(t), m.recorded(t))
	}
	if m.State.LastSync.Installed != 1 || !slices.Contains(m.did, "hold") || m.Published.Load().LastSync.Withdrawn != 1 {
		t.Errorf("last: %+v, done: %q", m.State.LastSync, m.did)
	}
	c, err := m.index.Load()
	if err != nil || len(c.Lists) != 1 || c.Lists[0].Name != stays.Name {
		t.Errorf("the index holds %+v, %v", c.Lists, err)
	}
	// An event that cannot begin has not happened: nothing goes if nothing can come.
	fresh := func() []state.InstalledPackage {
		pkg := nevra.NEVRA{Name: "new", EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"}
		candidate := &view.Candidate{Pkg: pkg, Header: record.Digest{200}, Name: "0-tlv-new", Basis: m.State.Basis}
		candidate.Body, candidate.Staged = record.Digest{200, 2}, m.staged(t, "new")
		return []state.InstalledPackage{{Pkg: pkg, Header: candidate.Header, Fresh: candidate}}
	}
	m.fail["commit"] = errDisk
	if _, _, err := m.Reconcile(nil, fresh(), time.Now()); !errors.Is(err, errDisk) || m.holds(t) != "0-tlv-stay" || m.State.ByName[stays.Name] == nil {
		t.Errorf("%v; the directory holds %s", err, m.holds(t))
	}
	if got := entries(t, m.dir.Path()+".staging"); got != "" {
		t.Errorf("staged is still %s", got)
	}
	clear(m.fail)
	r, _, err = m.Reconcile(nil, fresh(), time.Now())
	if err != nil || r.Published != 1 || r.Withdrawn != 1 || m.holds(t) != "0-tlv-new" {
		t.Errorf("%+v, %v; the directory holds %s", r, err, m.holds(t))
	}
}
