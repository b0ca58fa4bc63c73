// SPDX-License-Identifier: Apache-2.0

package deny_test

import (
	"context"
	"crypto/sha256"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

const hello, alone, other = "tlv-hello-0:1-1.noarch", "tlv-alone-0:1-1.noarch", "tlv-other-0:1-1.noarch"

// installed is a machine with three packages: one has a bad file among good ones, one has
// nothing else, one does not have it.
func installed(t *testing.T, set ...func(*config.Config)) *daemontest.Machine {
	t.Helper()
	m := daemontest.New(t, set...)
	m.Install(t, daemontest.Package(t, "hello", "", map[string]string{"/opt/bad": "bad", "/opt/good": "good"}),
		daemontest.Package(t, "alone", "", map[string]string{"/opt/alone": "bad"}),
		daemontest.Package(t, "other", "", map[string]string{"/opt/other": "fine"}))
	m.Sync(t)
	m.Wants()
	return m
}

// paths are those that each list of the directory vouches for.
func paths(t *testing.T, m *daemontest.Machine) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range m.Names(t) {
		var has []string
		if err := m.EachFile(m.Named(name), func(_ digestlist.Algo, _, path []byte) error {
			has = append(has, string(path))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(has)
		all[name] = strings.Join(has, " ")
	}
	return all
}

func wantPaths(t *testing.T, m *daemontest.Machine, when string, want map[string]string) {
	t.Helper()
	if got := paths(t, m); !maps.Equal(got, want) {
		t.Errorf("%s: the lists have %v, want %v", when, got, want)
	}
}

var whole = map[string]string{hello: "/opt/bad /opt/good", alone: "/opt/alone", other: "/opt/other"}

func content(text string) policy.Denial {
	sum := sha256.Sum256([]byte(text))
	return policy.Denial{Contents: []policy.Content{{Algo: digestlist.SHA256, Digest: string(sum[:])}}}
}

// A content that another authority denies leaves the lists like one that the owner denies; it
// is not recorded, and only that authority takes it back.
func TestDeniedByOthers(t *testing.T) {
	m := installed(t)
	before := m.Snapshot().List(other)
	if err := m.Denier.SetOthers(t.Context(), "the kernel", []policy.Denial{content("bad"), {Package: policy.Range{Name: "missing"}}}); err != nil {
		t.Fatal(err)
	}
	wantPaths(t, m, "denied", map[string]string{hello: "/opt/good", other: "/opt/other"})
	if e := m.Snapshot().List(alone); e.Active() || !e.Suspended() || e.Reason != string(policy.ReasonDenied) {
		t.Errorf("a list of which nothing is left: %s, %s", e.State, e.Reason)
	}
	if m.Snapshot().List(other) != before {
		t.Error("a list that has nothing of it was changed")
	}
	denials, total, err := m.Denials(t.Context(), 0, 10)
	if err != nil || total != 2 || !denials[0].Foreign || denials[0].Lists+denials[1].Lists != 2 || denials[0].By != "the kernel" {
		t.Errorf("%+v, %v", denials, err)
	}
	content, err := m.Index.Load()
	if err != nil || len(content.Denials) != 0 {
		t.Errorf("recorded as the owner's: %+v, %v", content.Denials, err)
	}
	if _, err := m.DenialLift(t.Context(), daemontest.Root, denials[0].ID, "mine"); err == nil {
		t.Error("the owner lifted it")
	}
	if reason, wanted := m.Wants(); wanted {
		t.Errorf("a comparison is wanted: %s", reason)
	}
	if err := m.Denier.SetOthers(t.Context(), "the kernel", nil); err != nil {
		t.Fatal(err)
	}
	if reason, wanted := m.Wants(); !wanted || !strings.Contains(reason, "the kernel") {
		t.Errorf("who brings back what is denied no more: %q", reason)
	}
	m.Enter(t, func(s *ledger.Ledger) {
		if s.Complete(s.ByName[hello]) {
			t.Error("a list that leaves out too much counts as complete")
		}
	})
	m.Sync(t)
	wantPaths(t, m, "denied no more", whole)
}

// Authorities deny each for itself: one that denies nothing more leaves the word of another.
func TestAuthoritiesDenyApart(t *testing.T) {
	m := installed(t)
	for source, what := range map[string]string{"one": "bad", "another": "fine"} {
		if err := m.Denier.SetOthers(t.Context(), source, []policy.Denial{content(what)}); err != nil {
			t.Fatal(err)
		}
	}
	wantPaths(t, m, "both", map[string]string{hello: "/opt/good"})
	if err := m.Denier.SetOthers(t.Context(), "one", nil); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	wantPaths(t, m, "the other", map[string]string{hello: whole[hello], alone: whole[alone]})
}

// Lists that only seem to hold what is denied, for what is remembered of a content is its
// head, stay as they are.
func TestContentThatOnlySeemsDenied(t *testing.T) {
	m := installed(t)
	before := m.Snapshot().List(hello)
	like := content("bad")
	digest := []byte(like.Contents[0].Digest)
	digest[len(digest)-1] ^= 1
	like.Contents[0].Digest = string(digest)
	if view.DigestRef(digest) != view.DigestRef([]byte(content("bad").Contents[0].Digest)) {
		t.Fatal("the head of the digest is all of it")
	}
	if err := m.Denier.SetOthers(t.Context(), "somebody", []policy.Denial{like}); err != nil {
		t.Fatal(err)
	}
	wantPaths(t, m, "denied", whole)
	if m.Snapshot().List(hello) != before {
		t.Error("the list was made anew")
	}
}

// A list that cannot be made without what is denied leaves the directory, and the others
// change; a comparison tries again.
func TestListThatCannotChange(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"was changed by somebody": func(path string) error { return os.WriteFile(path, []byte("nonsense"), 0o644) },
		"cannot be read":          func(path string) error { os.Remove(path); return os.Mkdir(path, 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			m := installed(t)
			if err := spoil(filepath.Join(m.Config.Lists, alone)); err != nil {
				t.Fatal(err)
			}
			err := m.Denier.SetOthers(t.Context(), "somebody", []policy.Denial{content("bad")})
			if e := m.Snapshot().List(alone); e != nil && e.Active() {
				t.Errorf("it is %s: %v", e.State, err)
			}
			got := paths(t, m)[hello]
			if got != "/opt/good" {
				t.Errorf("the list beside it has %s", got)
			}
			if _, wanted := m.Wants(); !wanted {
				t.Error("nobody tries again")
			}
		})
	}
}

// The owner's denial is carried out also if who asked for it does not wait.
func TestCompleteForNobody(t *testing.T) {
	m := installed(t)
	gone, cancel := context.WithCancel(t.Context())
	if err := m.Denier.Change(gone, func(s *ledger.Ledger) error {
		s.SetDenial(record.Denial{ID: "d-1", Digests: []string{record.Digest(sha256.Sum256([]byte("bad"))).String()}, Act: record.Act{Reason: "CVE"}})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	cancel()
	lists, err := m.Denier.Complete(gone)
	if err != nil || lists != 2 {
		t.Errorf("%d lists changed, want two: %v", lists, err)
	}
	wantPaths(t, m, "denied", map[string]string{hello: "/opt/good", other: "/opt/other"})
	if lists, err := m.Denier.Complete(t.Context()); err != nil || lists != 0 {
		t.Errorf("%d lists changed again: %v", lists, err)
	}
}

// A denial that cannot be recorded has not happened, and nothing leaves the lists for it.
func TestDenialThatCannotBeRecorded(t *testing.T) {
	m := installed(t)
	let := m.StopCommits(t)
	err := m.Denier.SetOthers(t.Context(), "somebody", []policy.Denial{{Package: policy.Range{Name: "hello"}}})
	if err == nil {
		t.Error("it succeeded without a record of what leaves")
	}
	wantPaths(t, m, "not recorded", whole)
	let()
	if err := m.Denier.SetOthers(t.Context(), "somebody", []policy.Denial{{Package: policy.Range{Name: "hello"}}}); err != nil {
		t.Error(err)
	}
	wantPaths(t, m, "recorded", map[string]string{alone: whole[alone], other: whole[other]})
}

// A denial ends when its time is over, by itself, and what it kept out comes back.
func TestDenialExpires(t *testing.T) {
	m := installed(t)
	daemontest.Loop(t, m.Denier.Run)
	sum := record.Digest(sha256.Sum256([]byte("bad"))).String()
	if _, err := m.Deny(t.Context(), daemontest.Root, "sha256:"+sum, "", "until it is mended", "", time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	wantPaths(t, m, "denied", map[string]string{hello: "/opt/good", other: "/opt/other"})
	reason, wanted := "", false
	daemontest.Await(t, "a comparison", func() bool {
		if !wanted {
			reason, wanted = m.Wants()
		}
		return wanted
	})
	if !strings.Contains(reason, "expired") {
		t.Errorf("a comparison is wanted because %s", reason)
	}
	if _, total, err := m.Denials(t.Context(), 0, 10); err != nil || total != 0 {
		t.Errorf("%d denials are left: %v", total, err)
	}
	m.Sync(t)
	wantPaths(t, m, "over", whole)
}

// A file that its list leaves out gets its label anew: the kernel asks again for it.
func TestOmittedFileIsAskedAnew(t *testing.T) {
	needs.Root(t)
	m := installed(t, func(c *config.Config) { c.Labels = true })
	for _, path := range []string{"/opt/bad", "/opt/good"} {
		file := m.File(t, path, filepath.Base(path))
		if err := unix.Setxattr(file, kernel.LabelName, []byte(hello), 0); err != nil {
			t.Fatal(err)
		}
	}
	ctime := func(path string) int64 {
		var st unix.Stat_t
		if err := unix.Stat(m.Path(path), &st); err != nil {
			t.Fatal(err)
		}
		return st.Ctim.Nano()
	}
	bad, good := ctime("/opt/bad"), ctime("/opt/good")
	time.Sleep(20 * time.Millisecond) // more than the clock of files takes for a step
	if err := m.Denier.SetOthers(t.Context(), "somebody", []policy.Denial{content("bad")}); err != nil {
		t.Fatal(err)
	}
	if ctime("/opt/bad") == bad || ctime("/opt/good") != good {
		t.Errorf("labels are written anew of /opt/bad: %t, of /opt/good: %t", ctime("/opt/bad") != bad, ctime("/opt/good") != good)
	}
}
