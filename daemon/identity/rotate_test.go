// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/view"
	"golang.org/x/sys/unix"
)

// rotate lets another identity sign, and returns it.
func rotate(t *testing.T, dir string) *Identity {
	t.Helper()
	f := Files{Dir: dir}
	if _, err := f.Prepare(t.Context(), time.Now(), func() {}); err != nil {
		t.Fatal(err)
	}
	id, err := f.Follow(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A prepared identity waits until it follows the one that signs, and is not made twice:
// the owner may have enrolled it.
func TestPreparedFollows(t *testing.T) {
	dir := t.TempDir()
	f := Files{Dir: dir}
	first := load(t, dir).Identity
	if err := f.Try(t.Context(), func() {}); !os.IsNotExist(err) {
		t.Errorf("nothing is prepared, and it can sign: %v", err)
	}
	if _, err := f.Follow(t.Context(), time.Now()); err == nil || load(t, dir).Identity.SKI() != first.SKI() {
		t.Errorf("nothing is prepared, and it follows: %v", err)
	}
	made, tried := 0, 0
	var next string
	for range 2 {
		path, err := f.Prepare(t.Context(), time.Now(), func() { made++ })
		if err != nil {
			t.Fatal(err)
		}
		cert, err := ReadCertificate(path)
		if err != nil {
			t.Fatal(err)
		}
		ski := Describe(cert, path).SKI
		if next != "" && ski != next {
			t.Error("it is another one each time")
		}
		next = ski
	}
	if err := f.Try(t.Context(), func() { tried++ }); err != nil || made != 1 || tried != 1 {
		t.Errorf("the key's place was left %d times to make it, %d times to try it, want once each: %v", made, tried, err)
	}
	if now := load(t, dir).Identity.SKI(); now != first.SKI() || now == next {
		t.Errorf("%s signs, %s is prepared, %s signed before", now, next, first.SKI())
	}
	id, err := f.Follow(t.Context(), time.Now())
	if err != nil || id.SKI() != next {
		t.Fatalf("%v follows, want %s: %v", id, next, err)
	}
	found := load(t, dir)
	if found.Identity.SKI() != next || len(found.Old) != 1 || !found.Old[0].Equal(first.Cert) {
		t.Errorf("a start signs by %s and knows %d that signed before", found.Identity.SKI(), len(found.Old))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.*.*")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

// A prepared identity that cannot sign is found out before it follows.
func TestPreparedIsTried(t *testing.T) {
	dir := t.TempDir()
	f := Files{Dir: dir}
	load(t, dir)
	if _, err := f.Prepare(t.Context(), time.Now(), func() {}); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, KeyFile+view.PreparedSuffix), content(t, filepath.Join(dir, KeyFile)), 0o600)
	if err := f.Try(t.Context(), func() {}); err == nil {
		t.Error("the key of another certificate can sign")
	}
}

// Wherever a change of the key is cut short, the next start signs by a whole identity: by
// the old one until the certificate has its turn, by the new one from then on.
func TestChangeOfKeyCutShort(t *testing.T) {
	files := len(identityNames)
	for step := range 2 * files { // files that have been renamed, for their turn or into place
		dir := t.TempDir()
		first := load(t, dir).Identity
		path, err := Files{Dir: dir}.Prepare(t.Context(), time.Now(), func() {})
		if err != nil {
			t.Fatal(err)
		}
		cert, err := ReadCertificate(path)
		if err != nil {
			t.Fatal(err)
		}
		next := Describe(cert, path).SKI
		for _, name := range identityNames[:min(step, files)] {
			rename(t, filepath.Join(dir, name), view.PreparedSuffix, view.NextSuffix)
		}
		if step > files {
			if err := keepOldCertificate(dir); err != nil {
				t.Fatal(err)
			}
			for _, name := range identityNames[:step-files] {
				rename(t, filepath.Join(dir, name), view.NextSuffix, "")
			}
		}
		found := load(t, dir)
		got, old := found.Identity.SKI(), len(found.Old)
		if step >= files {
			if got != next || old != 1 || !found.Old[0].Equal(first.Cert) {
				t.Errorf("after %d steps %s signs and %d did before, want the new %s and the old", step, got, old, next)
			}
			continue
		}
		if got != first.SKI() || old != 0 {
			t.Errorf("after %d steps %s signs and %d did before, want the old %s", step, got, old, first.SKI())
		}
		if id := rotate(t, dir); id.SKI() != next {
			t.Errorf("after %d steps what was prepared is lost", step)
		}
	}
}

func rename(t *testing.T, path, from, to string) {
	t.Helper()
	if err := os.Rename(path+from, path+to); err != nil {
		t.Fatal(err)
	}
}

// A change of the key that fails amid its files has not happened, and can be repeated.
func TestChangeOfKeyFails(t *testing.T) {
	for fails := range identityNames {
		renamed, now, log := 0, time.Now(), slog.New(slog.DiscardHandler)
		f := Files{Dir: t.TempDir(), Rename: func(from, to string) error {
			if renamed++; renamed == fails+1 {
				return errors.New("read-only file system")
			}
			return os.Rename(from, to)
		}}
		before, err := f.Load(t.Context(), log, now)
		if err != nil {
			t.Fatal(err)
		}
		change := func() (*Identity, error) {
			release := func() {}
			if _, err := f.Prepare(t.Context(), now, release); err != nil {
				return nil, err
			}
			if err := f.Try(t.Context(), release); err != nil {
				return nil, err
			}
			return f.Follow(t.Context(), now)
		}
		if _, err := change(); err == nil {
			t.Fatalf("rename %d fails, and the key changes", fails)
		}
		if still, err := f.Load(t.Context(), log, now); err != nil || still.Identity.SKI() != before.Identity.SKI() {
			t.Errorf("rename %d failed, and after a start another key signs, or none: %v", fails, err)
		}
		if after, err := change(); err != nil || after.SKI() == before.Identity.SKI() {
			t.Errorf("rename %d failed, and so does to change the key again: %v", fails, err)
		}
	}
}

// A directory that cannot be written to is read: there may be a key of a builder of images.
func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	want := load(t, dir).Identity.SKI()
	readOnly(t, dir)
	if got := load(t, dir).Identity.SKI(); got != want {
		t.Errorf("the key is %s, was %s", got, want)
	}
}

// readOnly lets nobody write to a directory: root only by a mount that is read-only.
func readOnly(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(dir, 0o700) })
		return
	}
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

// What signs an image's lists is neither kept nor changed.
func TestFixed(t *testing.T) {
	id := load(t, t.TempDir()).Identity
	f := Fixed{id}
	got, err := f.Load(t.Context(), nil, time.Now())
	if err != nil || got.Identity != id || got.Old != nil {
		t.Errorf("%+v, %v", got, err)
	}
	_, prepared := f.Prepare(t.Context(), time.Now(), nil)
	_, followed := f.Follow(t.Context(), time.Now())
	if prepared == nil || followed == nil || f.Try(t.Context(), nil) == nil {
		t.Error("it is changed")
	}
}
