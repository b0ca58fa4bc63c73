// SPDX-License-Identifier: Apache-2.0

package own_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/google/go-cmp/cmp"
)

const toolsList = "tlv-own-tools"

// A list is made, changed and removed; files are bound to it and freed again.
func TestLife(t *testing.T) {
	m := start(t)
	m.Write("/opt/tools/a", "a1")
	m.Write("/opt/tools/b", "b")
	r := decode[api.OwnResult](m, "own", "add", "tools", m.Path("/opt/tools"), "--reason", "ours")
	if r.Version != 1 || r.Files != 2 || r.List != toolsList || r.Labelled != 2 {
		t.Errorf("made: %+v", r)
	}
	m.WantLists(toolsList)
	for _, f := range []string{"/opt/tools/a", "/opt/tools/b"} {
		m.Vouched(f, true)
		if l := m.Label(f); l != toolsList {
			t.Errorf("%s is bound to %q", f, l)
		}
	}
	if w := m.Why("/opt/tools/a"); w.Owner != "own:tools-1-1.noarch" {
		t.Errorf("owner %q", w.Owner)
	}
	if s := m.Status(); s.Lists.Own != 1 || s.Lists.Active != 1 || s.Packages != 0 || s.Files != 2 {
		t.Errorf("status %+v, %d packages, %d files", s.Lists, s.Packages, s.Files)
	}
	if out := m.Must("list"); !strings.Contains(out, "own:tools-1-1.noarch") {
		t.Errorf("list:\n%s", out)
	}

	if r := m.update("tools"); !r.Unchanged || r.Version != 1 {
		t.Errorf("nothing changed: %+v", r)
	}
	m.Write("/opt/tools/a", "a2")
	if w := m.Why("/opt/tools/a"); w.Vouched || !strings.Contains(w.Advice, "digestctl own update tools") {
		t.Errorf("altered: %+v", w)
	}
	os.Remove(m.Path("/opt/tools/b"))
	m.Write("/opt/tools/c", "c")
	if r := m.update(); r.Version != 2 || r.Replaced != 1 || r.Files != 2 {
		t.Errorf("changed: %+v", r)
	}
	m.Vouched("/opt/tools/a", true)
	m.Vouched("/opt/tools/c", true)

	// More is added to it; a file that leaves it is freed.
	m.Write("/srv/x", "x")
	m.Must("own", "add", "tools", m.Path("/srv/x"))
	own := decode[api.Own](m, "own", "show", "tools")
	if diff := cmp.Diff([]api.OwnSource{{Path: "/opt/tools"}, {Path: "/srv/x"}}, own.Sources); diff != "" || own.Version != 3 {
		t.Errorf("version %d, sources %s", own.Version, diff)
	}
	m.Must("own", "add", "--replace", "tools", m.Path("/srv/x"))
	if l := m.Label("/opt/tools/c"); l != "" {
		t.Errorf("/opt/tools/c is still bound to %q", l)
	}
	m.Vouched("/opt/tools/c", false)

	m.Must("own", "rm", "tools", "--reason", "not needed")
	m.WantLists()
	m.Vouched("/srv/x", false)
	if l := m.Label("/srv/x"); l != "" {
		t.Errorf("/srv/x is bound to %q", l)
	}
	if own := decode[api.Own](m, "own", "show", "tools"); own.State != api.StateRemoved || own.Highest != 4 {
		t.Errorf("removed: %+v", own)
	}
	// Its numbers go on.
	if r := decode[api.OwnResult](m, "own", "add", "tools", m.Path("/srv/x")); r.Version != 5 {
		t.Errorf("made again: %+v", r)
	}
	m.Fails(3, `there is no own list "other"`, "own", "rm", "other")
	if s := m.Status(); s.State != api.Healthy {
		t.Errorf("problems: %+v", s.Problems)
	}
}

// An older version does not come back: by its file, by its content, or by another
// name; a grant lets it, once.
func TestOlderVersionStaysOut(t *testing.T) {
	m := start(t)
	m.Write("/opt/t", "old")
	m.Must("own", "add", "tools", m.Path("/opt/t"))
	old, err := os.ReadFile(filepath.Join(m.Lists(), toolsList))
	m.OK(err)
	m.Write("/opt/t", "new")
	m.Must("own", "update", "tools")

	m.Run("its file, in place of the new one", func(t *testing.T) {
		m.putIn(toolsList, old)
		m.Until("the new list is back, the old one in quarantine", func() bool { return len(m.Quarantined()) == 1 && m.Why("/opt/t").Vouched })
	})
	m.Run("its file, under another name", func(t *testing.T) {
		m.putIn("0-tlv-own-other", old)
		m.Until("both are in quarantine", func() bool { return len(m.Quarantined()) == 2 })
		m.Until("quarantined as one that came back", func() bool {
			return strings.Contains(m.Must("list", "quarantined"), "a retired list came back: own:tools-1-1.noarch was replaced")
		})
	})
	m.Run("its content", func(t *testing.T) {
		m.Write("/opt/t", "old")
		m.Fails(1, "own:tools-1-1.noarch is older than 2-1", "own", "update", "tools")
		m.Fails(1, "own:tools-1-1.noarch is older than 2-1", "own", "add", "again", m.Path("/opt/t"))
		m.Vouched("/opt/t", false)
		if out := m.Must("rollback", "log"); !strings.Contains(out, "rollback-refused") {
			t.Errorf("rollback log:\n%s", out)
		}
	})
	m.Run("granted", func(t *testing.T) {
		m.Must("rollback", "grant", "own:tools-1-1.noarch", "--reason", "the new one is broken")
		if r := m.update("tools"); r.Version != 1 || r.Replaced != 2 {
			t.Errorf("granted: %+v", r)
		}
		m.Vouched("/opt/t", true)
		m.Must("sync")
		m.Vouched("/opt/t", true)
		m.Write("/opt/t", "new") // was the highest, so it needs no grant
		if r := m.update("tools"); r.Version != 3 || r.Replaced != 1 {
			t.Errorf("forward again: %+v", r)
		}
	})
	m.Run("after a restart", func(t *testing.T) {
		m.Stop()
		m.Start()
		m.Write("/opt/t", "newest")
		if r := m.update("tools"); r.Version != 4 {
			t.Errorf("newest: %+v", r)
		}
		m.Write("/opt/t", "old")
		m.Fails(1, "own:tools-1-1.noarch is older than 4-1", "own", "update", "tools")
	})
	m.Run("removed", func(t *testing.T) {
		m.Must("own", "rm", "tools")
		m.Fails(1, "own:tools-1-1.noarch is older than 4-1", "own", "add", "tools", m.Path("/opt/t"))
	})
}

// putIn puts a file into the list directory, whole at once.
func (m *machine) putIn(name string, content []byte) {
	m.Helper()
	tmp := filepath.Join(m.Dir, "another-hand")
	err := os.WriteFile(tmp, content, 0o644)
	if err == nil {
		err = os.Rename(tmp, filepath.Join(m.Lists(), name))
	}
	m.OK(err)
}

// Run is testing.T's, for a part of a story that goes on.
func (m *machine) Run(name string, fn func(t *testing.T)) {
	m.Helper()
	outer := m.TB.(*testing.T)
	defer func() { m.TB = outer }()
	if !outer.Run(name, func(t *testing.T) { m.TB = t; fn(t) }) {
		outer.FailNow()
	}
}

// Lists of packages come first, and take over when an own list goes.
func TestBesidePackages(t *testing.T) {
	m := start(t)
	vendor := m.vendor()
	m.RPM("-U", m.pkg(vendor, "hello", "1", map[string]string{"/opt/hello": "hello", "/opt/conf": "as shipped"}))
	m.WantLists("tlv-hello-0:1-1.noarch")
	m.Write("/opt/conf", "changed here")
	m.Write("/opt/more", "more")
	r := decode[api.OwnResult](m, "own", "add", "mine", m.Path("/opt"))
	if r.Kept != 1 || r.Files != 3 {
		t.Errorf("%+v", r)
	}
	for path, want := range map[string]string{"/opt/hello": "tlv-hello-0:1-1.noarch", "/opt/conf": "tlv-own-mine", "/opt/more": "tlv-own-mine"} {
		if got := m.Label(path); got != want {
			t.Errorf("%s is bound to %q, want %q", path, got, want)
		}
		m.Vouched(path, true)
	}
	m.Must("sync")
	m.WantLists("tlv-hello-0:1-1.noarch", "tlv-own-mine")
	// A comparison of the disk with the lists finds it so, and leaves it so.
	m.Must("verify", "--all")
	m.Must("fix", "--all")
	for path, want := range map[string]string{"/opt/hello": "tlv-hello-0:1-1.noarch", "/opt/conf": "tlv-own-mine", "/opt/more": "tlv-own-mine"} {
		if got := m.Label(path); got != want {
			t.Errorf("after fix %s is bound to %q, want %q", path, got, want)
		}
	}
	m.Must("own", "rm", "mine")
	for path, want := range map[string]string{"/opt/hello": "tlv-hello-0:1-1.noarch", "/opt/conf": "tlv-hello-0:1-1.noarch", "/opt/more": ""} {
		if got := m.Label(path); got != want {
			t.Errorf("%s is bound to %q, want %q", path, got, want)
		}
	}
	// A package that goes leaves its files to the own list that has them.
	m.Must("own", "add", "mine", m.Path("/opt/hello"))
	m.OK(m.Root.Run("-e", "--justdb", "hello"))
	m.WantLists("tlv-own-mine")
	m.Until("the own list is bound to its file", func() bool { return m.Label("/opt/hello") == "tlv-own-mine" })
	m.Vouched("/opt/hello", true)
}

// A new signing key signs own lists as well.
func TestSigningKeyChanges(t *testing.T) {
	m := start(t)
	m.Write("/opt/t", "t")
	m.Must("own", "add", "tools", m.Path("/opt/t"))
	before := m.signer(toolsList)
	m.Must("keys", "rotate", "--reason", "test")
	if after := m.signer(toolsList); after == before || after != m.Status().Certificate.SKI {
		t.Errorf("signed by %s, before by %s", after, before)
	}
	m.Must("keys", "revoke", m.Status().Certificate.SKI, "--reason", "test")
	m.Until("signed anew", func() bool { return m.signer(toolsList) == m.Status().Certificate.SKI })
	if own := decode[api.Own](m, "own", "show", "tools"); own.Version != 1 {
		t.Errorf("signing is no change of the list: %+v", own)
	}
	m.Vouched("/opt/t", true)
}

// signer is who signed a list, by what is said of it.
func (m *machine) signer(list string) string {
	m.Helper()
	doc := decode[struct{ Lists []api.List }](m, "show", list)
	if len(doc.Lists) != 1 {
		m.Fatalf("show %s: %+v", list, doc)
	}
	return doc.Lists[0].Signer
}

// A change of an own list by another program is noticed and undone.
func TestTamperedWith(t *testing.T) {
	m := start(t)
	m.Write("/opt/t", "t")
	m.Must("own", "add", "tools", m.Path("/opt/t"))
	path := filepath.Join(m.Lists(), toolsList)
	good, err := os.ReadFile(path)
	m.OK(err)
	same := func() bool {
		data, err := os.ReadFile(path)
		body, _, _ := strings.Cut(string(data), "\x30\x82") // ECDSA signatures differ each time
		return err == nil && strings.HasPrefix(string(good), body) && len(data) > 0
	}
	for name, harm := range map[string]func() error{
		"removed":  func() error { return os.Remove(path) },
		"altered":  func() error { return os.WriteFile(path, good[1:], 0o644) },
		"replaced": func() error { return os.Symlink("/etc/passwd", path+"x") },
	} {
		if err := harm(); err != nil {
			t.Fatal(name, err)
		}
		m.Until("mended after it was "+name, func() bool { return same() && slices.Equal(m.Names(), []string{toolsList}) })
	}
	m.Stop()
	// The kept body as well, while nobody looks: the list must not become that.
	body := filepath.Join(m.State(), "own", "tools.1")
	data, err := os.ReadFile(body)
	m.OK(err)
	data[len(data)-2] ^= 1
	m.OK(os.WriteFile(body, data, 0o600))
	m.OK(os.Remove(path))
	m.Start()
	if s := m.Status(); s.State == api.Healthy {
		t.Errorf("nothing is wrong: %+v", s)
	}
	m.WantLists()
	m.Must("own", "add", "--replace", "tools", m.Path("/opt/t"))
	m.Vouched("/opt/t", true)
	m.Must("sync")
	if i := slices.IndexFunc(m.Status().Problems, func(p api.Problem) bool { return p.ID == "own" }); i >= 0 {
		t.Errorf("problem %+v", m.Status().Problems[i])
	}
}

// A denied content leaves an own list like that of a package, and returns when the denial is
// lifted; the list is the same version all the time.
func TestDenied(t *testing.T) {
	m := start(t)
	m.Write("/opt/t/a", "a")
	m.Write("/opt/t/b", "b")
	m.Must("own", "add", "tools", m.Path("/opt/t"))
	m.Must("deny", m.Path("/opt/t/a"), "--reason", "test")
	m.Vouched("/opt/t/a", false)
	m.Vouched("/opt/t/b", true)
	m.Stop()
	m.Start()
	m.Vouched("/opt/t/a", false)
	m.Write("/opt/t/c", "c")
	if r := m.update("tools"); r.Files != 2 || r.Left != 1 || r.Version != 2 {
		t.Errorf("made beside a denial: %+v", r)
	}
	m.Vouched("/opt/t/a", false)
	m.Vouched("/opt/t/c", true)
	m.Write("/opt/u", "a")
	m.Fails(2, "everything in the list is denied", "own", "add", "other", m.Path("/opt/u"))
	m.Must("deny", "lift", m.Path("/opt/t/a"), "--reason", "test")
	m.Until("vouched for again", func() bool { return m.Why("/opt/t/a").Vouched })
	if own := decode[api.Own](m, "own", "show", "tools"); own.Version != 2 || own.Files != 3 {
		t.Errorf("lifted: %+v", own)
	}
	// All of it is denied, and comes back.
	m.Must("own", "add", "other", m.Path("/opt/u"))
	m.Must("deny", m.Path("/opt/u"), "--reason", "test")
	if own := decode[api.Own](m, "own", "show", "other"); own.State != api.StateWithheld {
		t.Errorf("denied: %+v", own)
	}
	m.Must("sync")
	m.Must("deny", "lift", m.Path("/opt/u"), "--reason", "test")
	m.Until("vouched for again", func() bool { return m.Why("/opt/u").Vouched })
	m.wholesome("other.1", "tools.2")
}
