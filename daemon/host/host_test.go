// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/store/record"
)

// installed is a machine that has the list of one package of two files.
func installed(t *testing.T, set ...func(*config.Config)) *daemontest.Machine {
	t.Helper()
	m := daemontest.New(t, set...)
	m.Install(t, daemontest.Package(t, "hello", "", map[string]string{"/usr/bin/one": "1", "/usr/bin/two": "2"}))
	m.Sync(t)
	return m
}

// TestFilesOfList: the files of a list are walked in each of its forms, signed or not, and
// by many at once; one that is gone or is none says so.
func TestFilesOfList(t *testing.T) {
	for _, test := range []struct{ format, sign string }{{"tlv", "pkcs7"}, {"tlv", "none"}, {"rpm", "pkcs7"}} {
		m := installed(t, func(c *config.Config) { c.Format, c.Sign = test.format, test.sign })
		e := m.Snapshot().Entries[0]
		done := make(chan []string, 4)
		for range cap(done) {
			go func() {
				var files []string
				err := m.EachFile(e, func(algo digestlist.Algo, digest, path []byte) error {
					sum := sha256.Sum256([]byte(map[string]string{"/usr/bin/one": "1", "/usr/bin/two": "2"}[string(path)]))
					if algo != digestlist.SHA256 || string(digest) != string(sum[:]) {
						t.Errorf("%v: %s has another digest", test, path)
					}
					files = append(files, string(path))
					return nil
				})
				if err != nil {
					t.Errorf("%v: %v", test, err)
				}
				slices.Sort(files)
				done <- files
			}()
		}
		for range cap(done) {
			if files := <-done; !slices.Equal(files, []string{"/usr/bin/one", "/usr/bin/two"}) {
				t.Errorf("%v: it has %v", test, files)
			}
		}
		stop := errors.New("enough")
		if err := m.EachFile(e, func(digestlist.Algo, []byte, []byte) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%v: it went on: %v", test, err)
		}
		if err := os.Remove(filepath.Join(m.Config.Lists, e.Name)); err != nil {
			t.Fatal(err)
		}
		if err := m.EachFile(e, func(digestlist.Algo, []byte, []byte) error { return nil }); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: it is gone: %v", test, err)
		}
	}
	for name, data := range map[string]string{"tlv-x": "nonsense", "what-is-this": "", "": ""} {
		if err := host.WalkList(name, []byte(data), func(digestlist.Algo, []byte, []byte) error { return nil }); err == nil {
			t.Errorf("%q is a list", name)
		}
	}
}

// TestNamed: who has only the name of a list gets an entry.
func TestNamed(t *testing.T) {
	m := installed(t)
	known := m.Snapshot().Entries[0]
	if m.Named(known.Name) != known {
		t.Error("a list that is known has another entry")
	}
	if e := m.Named("tlv-gone"); e == nil || e.Name != "tlv-gone" || e.Active() {
		t.Errorf("one that is gone has %+v", e)
	}
}

// TestInsideRoot: a path is taken as one inside of the root, whichever way it is named.
func TestInsideRoot(t *testing.T) {
	for _, test := range []struct{ root, path, want string }{
		{"/", "/usr/bin/a", "/usr/bin/a"},
		{"/", "/usr/../bin//a/", "/bin/a"},
		{"/srv/root", "/srv/root/usr/bin/a", "/usr/bin/a"},
		{"/srv/root/", "/srv/root/usr/bin/a", "/usr/bin/a"},
		{"/srv/root", "/usr/bin/a", "/usr/bin/a"},
		{"/srv/root", "/srv/root", "/"},
		{"/srv/root", "/srv/rooted/a", "/srv/rooted/a"},
		{"/srv/root", "/srv/root/../etc/a", "/srv/etc/a"},
	} {
		h := host.New(config.Config{Root: test.root}, slog.New(slog.DiscardHandler))
		if got := h.InsideRoot(test.path); got != test.want {
			t.Errorf("root %s: %s is %s, want %s", test.root, test.path, got, test.want)
		}
	}
}

// TestDatabase: rpm's database is found where the configuration or rpm itself has it, and
// its stamp is another when it changes.
func TestDatabase(t *testing.T) {
	m := installed(t)
	if dir, err := m.LocateDB(); err != nil || dir != m.Path("/var/lib/rpm") {
		t.Errorf("it is in %s, %v", dir, err)
	}
	before := m.DatabaseStamp()
	if again := m.DatabaseStamp(); again != before || before == (rpmdb.Stamp{}) {
		t.Errorf("nothing changed, and its stamp is %v, was %v", again, before)
	}
	time.Sleep(20 * time.Millisecond) // the clock of the file system is coarse
	m.Install(t, daemontest.Package(t, "other", "", nil))
	if after := m.DatabaseStamp(); after == before {
		t.Error("it changed, and its stamp did not")
	}
	m.Host.Config.DBPath = "" // as rpm has it
	if dir, err := m.LocateDB(); err != nil || dir != m.Path("/var/lib/rpm") {
		t.Errorf("by itself it is in %s, %v", dir, err)
	}
	for _, path := range []string{"", "/var/lib/elsewhere"} {
		m.Host.Config.DBPath = path
		if err := os.RemoveAll(m.Path("/var/lib/rpm")); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Database(); !errors.Is(err, rpmdb.ErrNoDatabase) {
			t.Errorf("dbpath %q: there is none: %v", path, err)
		}
		if stamp := m.DatabaseStamp(); stamp != (rpmdb.Stamp{}) {
			t.Errorf("dbpath %q: none has the stamp %v", path, stamp)
		}
	}
}

// TestWishesAreOne: two wishes for a comparison that has not begun are one, and who wishes
// never waits.
func TestWishesAreOne(t *testing.T) {
	h := host.New(config.Default(), slog.New(slog.DiscardHandler))
	h.WantSync("first")
	h.WantSync("second")
	if reason := <-h.Wanted; reason != "first" {
		t.Errorf("the reason is %q", reason)
	}
	select {
	case reason := <-h.Wanted:
		t.Errorf("another is wanted: %q", reason)
	default:
	}
	h.WakeNeighbours()
	h.WakeNeighbours()
	if len(h.ListsChanged) != 1 {
		t.Errorf("neighbours are woken %d times", len(h.ListsChanged))
	}
}

// TestOwnListIsMade: it is signed unless lists are not, leaves out what is denied, and is
// on disk before anybody hears of it.
func TestOwnListIsMade(t *testing.T) {
	body := daemontest.OwnBody(t, "bad", "good")
	sum := sha256.Sum256([]byte("bad"))
	for _, test := range []struct {
		name   string
		sign   string
		denied bool
		files  int
	}{
		{"signed", "pkcs7", false, 2}, {"unsigned", "none", false, 2}, {"denied in part", "pkcs7", true, 1},
	} {
		m := daemontest.New(t, func(c *config.Config) { c.Sign = test.sign })
		if test.denied {
			if _, err := m.Deny(t.Context(), daemontest.Root, "sha256:"+record.Digest(sum).String(), "", "test", "", time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		l, err := m.MakeOwn(m.Dir.Stager("test"), body)
		if err != nil {
			t.Fatal(err)
		}
		if l.Files != test.files || (len(l.Omitted.Paths) == 0) == test.denied || len(l.Refs.Paths) != 2 || l.Basis != m.Snapshot().Basis || l.Signer != m.Builder.Load().OwnSigner() {
			t.Errorf("%s: made %+v", test.name, l)
		}
		if err := m.Dir.Publish(l.Staged, "tlv-own-test", false); err != nil {
			t.Fatal(err)
		}
		data, err := m.Dir.Read("tlv-own-test", nil)
		if err != nil || record.Digest(sha256.Sum256(data)) != l.File {
			t.Errorf("%s: the file is another than was made, %v", test.name, err)
		}
		signed, _, _, err := digestlist.SplitSignature(data)
		if test.sign == "none" {
			signed = data
		}
		if err == nil != (test.sign != "none") || record.Digest(sha256.Sum256(signed)) != l.Body {
			t.Errorf("%s: its body is another than was made, %v", test.name, err)
		}
	}
	m := daemontest.New(t)
	if _, err := m.MakeOwn(m.Dir.Stager("test"), []byte("nonsense")); err == nil {
		t.Error("a list was made of nonsense")
	}
	if left, err := os.ReadDir(m.Config.Lists + ".staging"); err != nil || len(left) > 0 {
		t.Errorf("left in staging: %v, %v", left, err)
	}
}

// TestOwnBodyIsWhatWasRecorded: a body that somebody changed, emptied or took away is not
// used.
func TestOwnBodyIsWhatWasRecorded(t *testing.T) {
	m := daemontest.New(t)
	body := daemontest.OwnBody(t, "one")
	id, err := m.OwnAppend(t.Context(), daemontest.Root, 0, body)
	if err == nil {
		_, err = m.OwnPublish(t.Context(), daemontest.Root, api.OwnRequest{Name: "mine", Upload: id}, daemontest.Quiet)
	}
	if err != nil {
		t.Fatal(err)
	}
	own := m.Snapshot().Own["mine"]
	kept, err := m.OpenOwnBody(own)
	if err != nil || string(kept) != string(body) {
		t.Errorf("it is %q, %v", kept, err)
	}
	kept.Unmap()
	path := ledger.OwnBody(m.Config.State, own)
	for size, want := range map[int64]string{int64(len(body)): "is not what was recorded", 0: "it is empty", 2*api.MaxOwnList + 1: "bytes"} {
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
			t.Fatal(err)
		}
		if _, err := m.OpenOwnBody(own); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: %v, want %q", size, err, want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := m.OpenOwnBody(own); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is gone: %v", err)
	}
}
