// SPDX-License-Identifier: Apache-2.0

package own_test

import (
	"fmt"
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
	m.write("/opt/tools/a", "a1")
	m.write("/opt/tools/b", "b")
	r := decode[api.OwnResult](m, "own", "add", "tools", m.inside("/opt/tools"), "--reason", "ours")
	if r.Version != 1 || r.Files != 2 || r.List != toolsList || r.Labelled != 2 {
		t.Errorf("made: %+v", r)
	}
	m.eventually(toolsList)
	for _, f := range []string{"/opt/tools/a", "/opt/tools/b"} {
		m.vouched(f, true)
		if l := m.label(f); l != toolsList {
			t.Errorf("%s is bound to %q", f, l)
		}
	}
	if w := m.why("/opt/tools/a"); w.Owner != "own:tools-1-1.noarch" {
		t.Errorf("owner %q", w.Owner)
	}
	if s := m.status(); s.Lists.Own != 1 || s.Lists.Active != 1 || s.Packages != 0 || s.Files != 2 {
		t.Errorf("status %+v, %d packages, %d files", s.Lists, s.Packages, s.Files)
	}
	if out := m.must("list"); !strings.Contains(out, "own:tools-1-1.noarch") {
		t.Errorf("list:\n%s", out)
	}

	if r := m.update("tools"); !r.Unchanged || r.Version != 1 {
		t.Errorf("nothing changed: %+v", r)
	}
	m.write("/opt/tools/a", "a2")
	if w := m.why("/opt/tools/a"); w.Vouched || !strings.Contains(w.Advice, "digestctl own update tools") {
		t.Errorf("altered: %+v", w)
	}
	os.Remove(m.inside("/opt/tools/b"))
	m.write("/opt/tools/c", "c")
	if r := m.update(); r.Version != 2 || r.Replaced != 1 || r.Files != 2 {
		t.Errorf("changed: %+v", r)
	}
	m.vouched("/opt/tools/a", true)
	m.vouched("/opt/tools/c", true)

	// More is added to it; a file that leaves it is freed.
	m.write("/srv/x", "x")
	m.must("own", "add", "tools", m.inside("/srv/x"))
	own := decode[api.Own](m, "own", "show", "tools")
	if diff := cmp.Diff([]api.OwnSource{{Path: "/opt/tools"}, {Path: "/srv/x"}}, own.Sources); diff != "" || own.Version != 3 {
		t.Errorf("version %d, sources %s", own.Version, diff)
	}
	m.must("own", "add", "--replace", "tools", m.inside("/srv/x"))
	if l := m.label("/opt/tools/c"); l != "" {
		t.Errorf("/opt/tools/c is still bound to %q", l)
	}
	m.vouched("/opt/tools/c", false)

	m.must("own", "rm", "tools", "--reason", "not needed")
	m.eventually()
	m.vouched("/srv/x", false)
	if l := m.label("/srv/x"); l != "" {
		t.Errorf("/srv/x is bound to %q", l)
	}
	if own := decode[api.Own](m, "own", "show", "tools"); own.State != api.StateRemoved || own.Highest != 4 {
		t.Errorf("removed: %+v", own)
	}
	// Its numbers go on.
	if r := decode[api.OwnResult](m, "own", "add", "tools", m.inside("/srv/x")); r.Version != 5 {
		t.Errorf("made again: %+v", r)
	}
	m.fails(3, `there is no own list "other"`, "own", "rm", "other")
	if s := m.status(); s.State != api.Healthy {
		t.Errorf("problems: %+v", s.Problems)
	}
}

// An older version does not come back: by its file, by its content, or by another
// name; a grant lets it, once.
func TestOlderVersionStaysOut(t *testing.T) {
	m := start(t)
	m.write("/opt/t", "old")
	m.must("own", "add", "tools", m.inside("/opt/t"))
	old, err := os.ReadFile(filepath.Join(m.Lists(), toolsList))
	if err != nil {
		t.Fatal(err)
	}
	m.write("/opt/t", "new")
	m.must("own", "update", "tools")

	m.Run("its file, in place of the new one", func(t *testing.T) {
		m.putIn(toolsList, old)
		m.wait(func() bool { return len(m.names(m.Lists()+".quarantine")) == 1 && m.why("/opt/t").Vouched }, func() string {
			return fmt.Sprint(m.names(m.Lists()+".quarantine"), m.why("/opt/t"))
		})
	})
	m.Run("its file, under another name", func(t *testing.T) {
		m.putIn("0-tlv-own-other", old)
		m.wait(func() bool { return len(m.names(m.Lists()+".quarantine")) == 2 }, func() string {
			return fmt.Sprint(m.names(m.Lists() + ".quarantine"))
		})
		m.wait(func() bool {
			return strings.Contains(m.must("list", "quarantined"), "a retired list came back: own:tools-1-1.noarch was replaced")
		}, func() string { return m.must("list", "quarantined") })
	})
	m.Run("its content", func(t *testing.T) {
		m.write("/opt/t", "old")
		m.fails(1, "own:tools-1-1.noarch is older than 2-1", "own", "update", "tools")
		m.fails(1, "own:tools-1-1.noarch is older than 2-1", "own", "add", "again", m.inside("/opt/t"))
		m.vouched("/opt/t", false)
		if out := m.must("rollback", "log"); !strings.Contains(out, "rollback-refused") {
			t.Errorf("rollback log:\n%s", out)
		}
	})
	m.Run("granted", func(t *testing.T) {
		m.must("rollback", "grant", "own:tools-1-1.noarch", "--reason", "the new one is broken")
		if r := m.update("tools"); r.Version != 1 || r.Replaced != 2 {
			t.Errorf("granted: %+v", r)
		}
		m.vouched("/opt/t", true)
		m.must("sync")
		m.vouched("/opt/t", true)
		m.write("/opt/t", "new") // was the highest, so it needs no grant
		if r := m.update("tools"); r.Version != 3 || r.Replaced != 1 {
			t.Errorf("forward again: %+v", r)
		}
	})
	m.Run("after a restart", func(t *testing.T) {
		m.Stop()
		m.Start()
		m.write("/opt/t", "newest")
		if r := m.update("tools"); r.Version != 4 {
			t.Errorf("newest: %+v", r)
		}
		m.write("/opt/t", "old")
		m.fails(1, "own:tools-1-1.noarch is older than 4-1", "own", "update", "tools")
	})
	m.Run("removed", func(t *testing.T) {
		m.must("own", "rm", "tools")
		m.fails(1, "own:tools-1-1.noarch is older than 4-1", "own", "add", "tools", m.inside("/opt/t"))
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
	if err != nil {
		m.Fatal(err)
	}
}

// Run is testing.T's, for a part of a story that goes on.
func (m *machine) Run(name string, fn func(t *testing.T)) {
	m.Helper()
	outer := m.T
	defer func() { m.T = outer }()
	if !outer.Run(name, func(t *testing.T) { m.T = t; fn(t) }) {
		outer.FailNow()
	}
}

// Lists of packages come first, and take over when an own list goes.
func TestBesidePackages(t *testing.T) {
	m := start(t)
	vendor := m.vendor()
	m.install(m.pkg(vendor, "hello", "1", map[string]string{"/opt/hello": "hello", "/opt/conf": "as shipped"}))
	m.eventually("tlv-hello-0:1-1.noarch")
	m.write("/opt/conf", "changed here")
	m.write("/opt/more", "more")
	r := decode[api.OwnResult](m, "own", "add", "mine", m.inside("/opt"))
	if r.Kept != 1 || r.Files != 3 {
		t.Errorf("%+v", r)
	}
	for path, want := range map[string]string{"/opt/hello": "tlv-hello-0:1-1.noarch", "/opt/conf": "tlv-own-mine", "/opt/more": "tlv-own-mine"} {
		if got := m.label(path); got != want {
			t.Errorf("%s is bound to %q, want %q", path, got, want)
		}
		m.vouched(path, true)
	}
	m.must("sync")
	m.eventually("tlv-hello-0:1-1.noarch", "tlv-own-mine")
	// Whoever compares the disk with the lists finds it so, and leaves it so.
	m.must("verify", "--all")
	m.must("fix", "--all")
	for path, want := range map[string]string{"/opt/hello": "tlv-hello-0:1-1.noarch", "/opt/conf": "tlv-own-mine", "/opt/more": "tlv-own-mine"} {
		if got := m.label(path); got != want {
			t.Errorf("after fix %s is bound to %q, want %q", path, got, want)
		}
	}
	m.must("own", "rm", "mine")
	for path, want := range map[string]string{"/opt/hello": "tlv-hello-0:1-1.noarch", "/opt/conf": "tlv-hello-0:1-1.noarch", "/opt/more": ""} {
		if got := m.label(path); got != want {
			t.Errorf("%s is bound to %q, want %q", path, got, want)
		}
	}
	// A package that goes leaves its files to the own list that has them.
	m.must("own", "add", "mine", m.inside("/opt/hello"))
	if err := m.Root.Run("-e", "--justdb", "hello"); err != nil {
		t.Fatal(err)
	}
	m.eventually("tlv-own-mine")
	m.wait(func() bool { return m.label("/opt/hello") == "tlv-own-mine" }, func() string { return m.label("/opt/hello") })
	m.vouched("/opt/hello", true)
}

// A new signing key signs own lists as well.
func TestSigningKeyChanges(t *testing.T) {
	m := start(t)
	m.write("/opt/t", "t")
	m.must("own", "add", "tools", m.inside("/opt/t"))
	before := m.signer(toolsList)
	m.must("keys", "rotate", "--reason", "test")
	if after := m.signer(toolsList); after == before || after != m.status().Certificate.SKI {
		t.Errorf("signed by %s, before by %s", after, before)
	}
	m.must("keys", "revoke", m.status().Certificate.SKI, "--reason", "test")
	m.wait(func() bool { return m.signer(toolsList) == m.status().Certificate.SKI }, func() string { return "not signed anew: " + m.signer(toolsList) })
	if own := decode[api.Own](m, "own", "show", "tools"); own.Version != 1 {
		t.Errorf("signing is no change of the list: %+v", own)
	}
	m.vouched("/opt/t", true)
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

// What another hand does to an own list is noticed and mended.
func TestTamperedWith(t *testing.T) {
	m := start(t)
	m.write("/opt/t", "t")
	m.must("own", "add", "tools", m.inside("/opt/t"))
	path := filepath.Join(m.Lists(), toolsList)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
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
		m.wait(func() bool { return same() && slices.Equal(m.lists(), []string{toolsList}) }, func() string { return name + fmt.Sprint(m.lists()) })
	}
	m.Stop()
	// The kept body as well, while nobody looks: the list must not become that.
	body := filepath.Join(m.State(), "own", "tools.1")
	data, err := os.ReadFile(body)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-2] ^= 1
	if err := os.WriteFile(body, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	m.Start()
	if s := m.status(); s.State == api.Healthy {
		t.Errorf("nothing is wrong: %+v", s)
	}
	m.eventually()
	m.must("own", "add", "--replace", "tools", m.inside("/opt/t"))
	m.vouched("/opt/t", true)
	m.must("sync")
	if i := slices.IndexFunc(m.status().Problems, func(p api.Problem) bool { return p.ID == "own" }); i >= 0 {
		t.Errorf("problem %+v", m.status().Problems[i])
	}
}

// What is denied leaves an own list as it leaves a package's, and returns when the
// denial is lifted; the list is the same version all the time.
func TestDenied(t *testing.T) {
	m := start(t)
	m.write("/opt/t/a", "a")
	m.write("/opt/t/b", "b")
	m.must("own", "add", "tools", m.inside("/opt/t"))
	m.must("deny", m.inside("/opt/t/a"), "--reason", "test")
	m.vouched("/opt/t/a", false)
	m.vouched("/opt/t/b", true)
	m.Stop()
	m.Start()
	m.vouched("/opt/t/a", false)
	m.write("/opt/t/c", "c")
	if r := m.update("tools"); r.Files != 2 || r.Left != 1 || r.Version != 2 {
		t.Errorf("made beside a denial: %+v", r)
	}
	m.vouched("/opt/t/a", false)
	m.vouched("/opt/t/c", true)
	m.write("/opt/u", "a")
	m.fails(2, "everything in the list is denied", "own", "add", "other", m.inside("/opt/u"))
	m.must("deny", "lift", m.inside("/opt/t/a"), "--reason", "test")
	m.wait(func() bool { return m.why("/opt/t/a").Vouched }, func() string { return fmt.Sprint(m.why("/opt/t/a")) })
	if own := decode[api.Own](m, "own", "show", "tools"); own.Version != 2 || own.Files != 3 {
		t.Errorf("lifted: %+v", own)
	}
	// All of it is denied, and comes back.
	m.must("own", "add", "other", m.inside("/opt/u"))
	m.must("deny", m.inside("/opt/u"), "--reason", "test")
	if own := decode[api.Own](m, "own", "show", "other"); own.State != api.StateWithheld {
		t.Errorf("denied: %+v", own)
	}
	m.must("sync")
	m.must("deny", "lift", m.inside("/opt/u"), "--reason", "test")
	m.wait(func() bool { return m.why("/opt/u").Vouched }, func() string { return fmt.Sprint(m.why("/opt/u")) })
	m.wholesome("other.1", "tools.2")
}
