// SPDX-License-Identifier: Apache-2.0

package label_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

const listA, listB, gone = "tlv-a-0:1-1.noarch", "tlv-b-0:1-1.noarch", "tlv-gone-0:1-1.noarch"

// machine is one whose files can have labels.
type machine struct{ *daemontest.Machine }

func start(t *testing.T) machine {
	t.Helper()
	needs.Root(t)
	m := machine{daemontest.New(t, func(c *config.Config) { c.Labels = true })}
	// The comparison that makes the first lists looks at no file: none names a list yet.
	m.pkg(t, "first", map[string]string{"/usr/first": "first"})
	m.Sync(t)
	return m
}

// pkg installs a package, without a word to its files.
func (m machine) pkg(t *testing.T, name string, files map[string]string) {
	t.Helper()
	m.Install(t, daemontest.Package(t, name, "", files))
}

// file writes a file that is bound to a list, "" for none.
func (m machine) file(t *testing.T, path, content, list string) {
	t.Helper()
	full := m.File(t, path, content)
	if list == "" {
		return
	}
	if err := unix.Setxattr(full, kernel.LabelName, []byte(list), 0); err != nil {
		t.Fatal(err)
	}
}

// labels are those of the regular files below the root, by path.
func (m machine) labels(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(m.Path("/opt"), func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		buf := make([]byte, 256)
		n, err := unix.Getxattr(path, kernel.LabelName, buf)
		if err != nil {
			n = 0
		}
		all[strings.TrimPrefix(path, m.Config.Root)] = string(buf[:n])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (m machine) wantLabels(t *testing.T, when string, want map[string]string) {
	t.Helper()
	if got := m.labels(t); !maps.Equal(got, want) {
		t.Errorf("%s: files are bound to %v, want %v", when, got, want)
	}
}

// renewed does something and returns the files whose labels were written meanwhile.
func (m machine) renewed(t *testing.T, do func()) (paths []string) {
	t.Helper()
	ctimes := func() map[string]int64 {
		all := map[string]int64{}
		for path := range m.labels(t) {
			var st unix.Stat_t
			if err := unix.Stat(m.Path(path), &st); err != nil {
				t.Fatal(err)
			}
			all[path] = st.Ctim.Nano()
		}
		return all
	}
	before := ctimes()
	time.Sleep(20 * time.Millisecond) // longer than the clock of a file system ticks
	do()
	for path, then := range ctimes() {
		if then != before[path] {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// freeze lets nobody change a file until melt is called.
func (m machine) freeze(t *testing.T, path string) (melt func()) {
	t.Helper()
	needs.Programs(t, "chattr")
	change := func(how string) {
		if out, err := exec.Command("chattr", how, m.Path(path)).CombinedOutput(); err != nil {
			t.Errorf("chattr %s: %v: %s", how, err, out)
		}
	}
	change("+i")
	frozen := true
	melt = func() {
		if frozen {
			change("-i")
		}
		frozen = false
	}
	t.Cleanup(melt)
	return melt
}

// left are the files whose labels are still to be written.
func (m machine) left(t *testing.T) (paths []string) {
	t.Helper()
	m.Enter(t, func(s *ledger.Ledger) { paths = slices.Sorted(maps.Keys(s.Labels.Files)) })
	return paths
}

// A file that several packages have is bound to another of their lists when its own goes.
// The labels of the others are written anew, so that the kernel asks again.
func TestFilesOfAListThatGoes(t *testing.T) {
	m := start(t)
	m.pkg(t, "a", map[string]string{"/opt/shared": "one", "/opt/a": "two", "/opt/link": "three", "/opt/unlabelled": "four"})
	m.pkg(t, "b", map[string]string{"/opt/shared": "one", "/opt/b": "two"})
	m.Sync(t)
	m.file(t, "/opt/shared", "one", listA)
	m.file(t, "/opt/a", "two", listA)
	m.file(t, "/opt/b", "two", listB)
	m.file(t, "/opt/unlabelled", "four", "")
	if err := os.Symlink("b", m.Path("/opt/link")); err != nil {
		t.Fatal(err)
	}
	m.Erase(t, daemontest.Package(t, "a", "", nil))
	renewed := m.renewed(t, func() { m.Sync(t) })
	m.wantLabels(t, "a went", map[string]string{"/opt/shared": listB, "/opt/a": listA, "/opt/b": listB, "/opt/unlabelled": ""})
	if want := []string{"/opt/a", "/opt/shared"}; !slices.Equal(renewed, want) {
		t.Errorf("labels were written of %v, want %v", renewed, want)
	}
}

// Lists that a comparison makes take over files that are bound to a list which is gone, and
// leave the others.
func TestFilesOfAListThatComes(t *testing.T) {
	m := start(t)
	m.pkg(t, "a", map[string]string{"/opt/shared": "one"})
	m.Sync(t)
	m.file(t, "/opt/shared", "one", listA)
	m.file(t, "/opt/old", "two", gone)
	m.file(t, "/opt/unlabelled", "three", "")
	m.file(t, "/opt/foreign", "four", gone)
	m.pkg(t, "b", map[string]string{"/opt/shared": "one", "/opt/old": "two", "/opt/unlabelled": "three", "/opt/missing": "five"})
	m.Sync(t)
	m.wantLabels(t, "b came", map[string]string{"/opt/shared": listA, "/opt/old": listB, "/opt/unlabelled": "", "/opt/foreign": gone})
}

// On a root that had no daemon all files of packages are bound, and those of own lists
// that have the content.
func TestBindAll(t *testing.T) {
	m := start(t)
	m.pkg(t, "a", map[string]string{"/opt/shared": "one", "/opt/new": "two", "/opt/old": "three", "/opt/missing": "four"})
	m.pkg(t, "b", map[string]string{"/opt/shared": "one"})
	m.file(t, "/opt/shared", "one", "")
	m.file(t, "/opt/own", "mine", "")
	m.file(t, "/opt/changed", "theirs", "")
	m.Sync(t)
	m.own(t, "mine", map[string]string{"/opt/own": "mine", "/opt/changed": "mine"})
	if err := unix.Removexattr(m.Path("/opt/own"), kernel.LabelName); err != nil {
		t.Fatal(err)
	}
	m.file(t, "/opt/shared", "one", listB)
	m.file(t, "/opt/new", "two", "")
	m.file(t, "/opt/old", "three", gone)
	m.Labels.BindAll()
	m.wantLabels(t, "bound", map[string]string{"/opt/shared": listB, "/opt/new": listA, "/opt/old": listA, "/opt/own": "tlv-own-mine", "/opt/changed": ""})
}

// A label that cannot be written keeps no other from being written. It is named, and
// written as soon as that can be.
func TestLabelThatResists(t *testing.T) {
	m := start(t)
	m.pkg(t, "a", map[string]string{"/opt/a": "one", "/opt/b": "two", "/opt/c": "three"})
	for path, content := range map[string]string{"/opt/a": "one", "/opt/b": "two", "/opt/c": "three"} {
		m.file(t, path, content, gone)
	}
	melt := m.freeze(t, "/opt/b")
	m.Sync(t)
	want := map[string]string{"/opt/a": listA, "/opt/b": gone, "/opt/c": listA}
	m.wantLabels(t, "frozen", want)
	if got := m.Problem("labels"); !strings.Contains(got.Text, "1 file,") || !strings.Contains(got.Text, "/opt/b") {
		t.Errorf("status says %q", got.Text)
	}
	if !m.Labels.Retry(t.Context()) {
		t.Error("nothing is left of a file that is frozen")
	}
	daemontest.Loop(t, m.Labels.Run)
	melt()
	daemontest.Await(t, "the label", func() bool { return m.labels(t)["/opt/b"] == listA })
	daemontest.Await(t, "the end of the problem", func() bool { return m.Problem("labels").Text == "" })
	if m.Labels.Retry(t.Context()) {
		t.Error("something is left")
	}
}

// A start knows which labels are left, and leaves them until it knows the files of lists.
func TestLabelOutlivesRestart(t *testing.T) {
	m := start(t)
	m.file(t, "/opt/a", "one", gone)
	melt := m.freeze(t, "/opt/a")
	m.pkg(t, "a", map[string]string{"/opt/a": "one"})
	m.Sync(t)
	m.Stop()
	m.Start(t)
	melt()
	if got := m.Problem("labels"); !strings.Contains(got.Text, "/opt/a") {
		t.Errorf("after a restart status says %q", got.Text)
	}
	if !m.Labels.Retry(t.Context()) {
		t.Error("the file was forgotten before a comparison")
	}
	m.Sync(t)
	if got := m.Problem("labels"); got.Text != "" {
		t.Errorf("after a comparison status says %q", got.Text)
	}
	m.wantLabels(t, "after a comparison", map[string]string{"/opt/a": listA})
}

// A file whose label was left is labelled by the lists at that later time.
func TestLabelIsSettledLater(t *testing.T) {
	m := start(t)
	m.pkg(t, "a", map[string]string{"/opt/bound": "one", "/opt/heir": "two"})
	m.Sync(t)
	m.own(t, "mine", map[string]string{"/opt/own": "three"})
	files := []struct{ path, label, want string }{
		{"/opt/bound", listA, listA},      // written anew
		{"/opt/heir", gone, listA},        // another list has it
		{"/opt/own", gone, ""},            // an own list has the path: whether with that content is not known
		{"/opt/freed", "tlv-own-old", ""}, // an own list that was removed
		{"/opt/nobody", gone, gone},       // written anew
		{"/opt/unlabelled", "", ""},
	}
	want := map[string]string{}
	for _, f := range files {
		m.file(t, f.path, "content", f.label)
		want[f.path] = f.want
	}
	m.Enter(t, func(s *ledger.Ledger) {
		for _, f := range files {
			s.Labels.Add(f.path, "test")
		}
		s.Labels.Add("/opt/missing", "test")
		s.SaveLabels()
	})
	renewed := m.renewed(t, func() {
		if m.Labels.Retry(t.Context()) {
			t.Errorf("left are %v", m.left(t))
		}
	})
	m.wantLabels(t, "settled", want)
	if want := []string{"/opt/bound", "/opt/freed", "/opt/heir", "/opt/nobody", "/opt/own"}; !slices.Equal(renewed, want) {
		t.Errorf("labels were written of %v, want %v", renewed, want)
	}
}

// If more labels were left than are remembered, all files of active lists are looked at.
func TestMoreLeftThanIsRemembered(t *testing.T) {
	m := start(t)
	m.pkg(t, "a", map[string]string{"/opt/a": "one", "/opt/frozen": "two", "/opt/good": "three"})
	m.Sync(t)
	m.file(t, "/opt/own", "four", "")
	m.own(t, "mine", map[string]string{"/opt/own": "four", "/opt/changed": "five"})
	m.file(t, "/opt/a", "one", gone)
	m.file(t, "/opt/frozen", "two", gone)
	m.file(t, "/opt/good", "three", listA)
	m.file(t, "/opt/own", "four", gone)
	m.file(t, "/opt/changed", "theirs", gone)
	melt := m.freeze(t, "/opt/frozen")
	m.Enter(t, func(s *ledger.Ledger) {
		s.Labels.All = true
		s.SaveLabels()
	})
	want := map[string]string{"/opt/a": listA, "/opt/frozen": gone, "/opt/good": listA, "/opt/own": "tlv-own-mine", "/opt/changed": gone}
	if !m.Labels.Retry(t.Context()) || !slices.Equal(m.left(t), []string{"/opt/frozen"}) {
		t.Errorf("left are %v, want the frozen file", m.left(t))
	}
	m.wantLabels(t, "frozen", want)
	melt()
	if m.Labels.Retry(t.Context()) {
		t.Errorf("left are %v", m.left(t))
	}
	want["/opt/frozen"] = listA
	m.wantLabels(t, "all", want)
}

// A file that its list leaves out, and whose label resists, is looked for later where rpm
// installed it.
func TestOmittedFileThatWasMoved(t *testing.T) {
	m := start(t)
	m.pkg(t, "a", map[string]string{"/usr/bad": "bad", "/usr/good": "good"})
	m.Sync(t)
	m.file(t, "/opt/bad", "bad", listA)
	e := *m.Snapshot().List(listA)
	e.Moved = header.Relocations{{From: []byte("/usr"), To: []byte("/opt")}}
	r := &grounds.Reduction{Entry: &e, Candidate: view.Candidate{Name: e.Name}}
	r.Omitted.Paths = [][]byte{[]byte("/usr/bad"), []byte("/usr/missing")}
	if renewed := m.renewed(t, func() { m.Labels.RenewOmitted(r) }); !slices.Equal(renewed, []string{"/opt/bad"}) || len(m.left(t)) > 0 {
		t.Errorf("labels were written of %v, left are %v", renewed, m.left(t))
	}
	m.freeze(t, "/opt/bad")
	m.Labels.RenewOmitted(r)
	if got := m.left(t); !slices.Equal(got, []string{"/opt/bad"}) {
		t.Errorf("left are %v, want the file where it lies", got)
	}
}

// No file gets a label if labels are switched off.
func TestWithoutLabels(t *testing.T) {
	m := start(t)
	m.Stop()
	m.Config.Labels = false
	m.Start(t)
	m.pkg(t, "a", map[string]string{"/opt/shared": "one"})
	m.pkg(t, "b", map[string]string{"/opt/shared": "one"})
	m.file(t, "/opt/shared", "one", gone)
	renewed := m.renewed(t, func() {
		m.Sync(t)
		m.own(t, "mine", map[string]string{"/opt/shared": "other"})
		m.Erase(t, daemontest.Package(t, "a", "", nil))
		m.Sync(t)
	})
	if len(renewed) > 0 {
		t.Errorf("labels were written of %v", renewed)
	}
}
