// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/scan"
	"github.com/digestd/digestd/digestlist"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// tree makes files below a directory of the test.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// scanned is what a scan found: digests by path, in order, and what it left out.
type scanned struct {
	paths   []string
	digests map[string][]byte
	skipped map[string]error
	result  scan.Result
	body    []byte
}

func write(t *testing.T, o scan.Options) (s scanned, err error) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "body"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	s.digests, s.skipped = map[string][]byte{}, map[string]error{}
	if o.Algo == 0 {
		o.Algo = digestlist.SHA256
	}
	if o.MaxSize == 0 {
		o.MaxSize = 1 << 30
	}
	o.Report = func(int, int64) {}
	o.Skipped = func(path string, err error) { s.skipped[path] = err }
	if s.result, err = scan.Write(context.Background(), o, out); err != nil {
		return s, err
	}
	if s.body, err = os.ReadFile(out.Name()); err != nil {
		t.Fatal(err)
	}
	err = digestlist.WalkTLV(s.body, func(_ digestlist.Algo, digest, path []byte) error {
		s.paths = append(s.paths, string(path))
		s.digests[string(path)] = bytes.Clone(digest)
		return nil
	})
	if err != nil {
		t.Fatalf("what was written is malformed: %v", err)
	}
	return s, nil
}

func trees(paths ...string) (all []scan.Tree) {
	for _, p := range paths {
		all = append(all, scan.Tree{Path: p})
	}
	return all
}

// The same files give the same list, whatever the order they are named in, and no
// file twice.
func TestSameFilesSameList(t *testing.T) {
	files := map[string]string{"a/1": "1", "a/2/x": "2x", "a-b": "ab", "a.c/z": "z", "b": "b"}
	for i := range 300 {
		files[fmt.Sprintf("many/%03d", i)] = strings.Repeat("x", i*1000)
	}
	dir := tree(t, files)
	var first scanned
	for i, o := range []scan.Options{
		{Trees: trees(dir)},
		{Trees: trees(dir+"/b", dir+"/a", dir+"/many", dir, dir+"/a/2")},
		{Trees: trees(dir), Listed: []string{dir + "/b", dir + "/a/1"}},
	} {
		o.Root = dir
		s, err := write(t, o)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = s
		}
		if !bytes.Equal(s.body, first.body) {
			t.Errorf("scan %d has other bytes: %q", i, s.paths)
		}
		if diff := cmp.Diff([]string{"/"}, s.result.Roots); diff != "" {
			t.Errorf("roots: %s", diff)
		}
	}
	if len(first.paths) != len(files) || !slices.Equal(first.paths[:3], []string{"/a/1", "/a/2/x", "/a-b"}) && !slices.Contains(first.paths, "/a-b") {
		t.Errorf("%d paths: %q", len(first.paths), first.paths[:5])
	}
	for name, content := range files {
		if sum := sha256.Sum256([]byte(content)); !bytes.Equal(first.digests["/"+name], sum[:]) {
			t.Errorf("digest of %s", name)
		}
	}
	// Files alone are in one order as well.
	one, err := write(t, scan.Options{Root: "/", Listed: []string{dir + "/b", dir + "/a-b", dir + "/a/1", dir + "/b"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{dir + "/a/1", dir + "/a-b", dir + "/b"}, one.paths); diff != "" {
		t.Error(diff)
	}
}

// A path is bytes, whatever they are; what is no file is passed over in trees.
func TestStrangeFiles(t *testing.T) {
	names := []string{"new\nline", "caf\xe9", "sp ace", "\x1b[2J", "-rf", "a\\b", "\xff\xfe"}
	files := map[string]string{}
	for _, n := range names {
		files[n] = n
	}
	dir := tree(t, files)
	for _, link := range [][2]string{{"loop", "loop"}, {"up", ".."}, {"abroad", "/etc"}, {"dangling", "nothing"}} {
		if err := os.Symlink(link[1], filepath.Join(dir, link[0])); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := write(t, scan.Options{Root: dir, Trees: trees(dir)})
	if err != nil || len(s.skipped) > 0 {
		t.Fatal(err, s.skipped)
	}
	for _, n := range names {
		if sum := sha256.Sum256([]byte(n)); !bytes.Equal(s.digests["/"+n], sum[:]) {
			t.Errorf("digest of %q", n)
		}
	}
	if len(s.paths) != len(names) {
		t.Errorf("paths %q", s.paths)
	}
	for name, want := range map[string]error{"loop": unix.ELOOP, "dangling": unix.ENOENT, "fifo": scan.ErrNotRegular, "none": unix.ENOENT} {
		if _, err := write(t, scan.Options{Root: "/", Trees: trees(filepath.Join(dir, name))}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	s, err = write(t, scan.Options{Root: "/", Listed: []string{dir + "/loop", dir + "/fifo", dir + "/none", dir + "/sp ace", dir}})
	if err != nil || len(s.paths) != 1 || len(s.skipped) != 4 {
		t.Errorf("%v, listed %q, skipped %v", err, s.paths, s.skipped)
	}
	if _, err := write(t, scan.Options{Root: dir, Trees: trees("/etc/passwd")}); !errors.Is(err, scan.ErrOutside) {
		t.Errorf("outside of the root: %v", err)
	}
	if err := os.Mkdir(dir+"/empty", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := write(t, scan.Options{Root: "/", Trees: trees(dir + "/empty")}); !errors.Is(err, digestlist.ErrEmpty) {
		t.Errorf("nothing to list: %v", err)
	}
}

// Links inside of a container lead nowhere outside of it.
func TestChroot(t *testing.T) {
	dir := tree(t, map[string]string{"box/usr/bin/sh": "sh", "secret": "s"})
	box := filepath.Join(dir, "box")
	for link, to := range map[string]string{"bin": "usr/bin", "abs": "/usr/bin", "out": "../../../../.." + dir} {
		if err := os.Symlink(to, filepath.Join(box, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/bin", "/abs", "/usr", "/"} {
		s, err := write(t, scan.Options{Root: dir, Trees: []scan.Tree{{Path: path, Chroot: box}}})
		if err != nil || !slices.Equal(s.paths, []string{"/box/usr/bin/sh"}) {
			t.Errorf("%s: %q, %v", path, s.paths, err)
		}
	}
	if s, err := write(t, scan.Options{Root: dir, Trees: []scan.Tree{{Path: "/out", Chroot: box}}}); err == nil {
		t.Errorf("a link led out: %q", s.paths)
	}
}

// A file that does not stop changing has no digest.
func TestChangingFile(t *testing.T) {
	dir := tree(t, map[string]string{"changes": strings.Repeat("x", 8<<20), "rests": "r"})
	f, err := os.OpenFile(filepath.Join(dir, "changes"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := byte(0); !stop.Load(); i++ {
			f.WriteAt([]byte{i}, 0)
			// The clock of file systems has ticks of some milliseconds.
			os.Chtimes(f.Name(), time.Time{}, time.Unix(int64(i)+1, 0))
		}
	}()
	// The writer may not get a turn while the file is read.
	var s scanned
	for end := time.Now().Add(time.Minute); ; {
		if s, err = write(t, scan.Options{Root: dir, Trees: trees(dir)}); err != nil || len(s.skipped) > 0 || time.Now().After(end) {
			break
		}
	}
	stop.Store(true)
	<-done
	if err != nil || !errors.Is(s.skipped["/changes"], scan.ErrChanging) || !slices.Equal(s.paths, []string{"/rests"}) {
		t.Errorf("%v, skipped %v, listed %q", err, s.skipped, s.paths)
	}
}

// Files that are too large, sparse or not, or cannot be read, are reported.
func TestLargeAndUnreadable(t *testing.T) {
	dir := tree(t, map[string]string{"small": "s"})
	sparse := filepath.Join(dir, "sparse")
	if err := os.WriteFile(sparse, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(sparse, 1<<40); err != nil {
		t.Fatal(err)
	}
	s, err := write(t, scan.Options{Root: dir, Trees: trees(dir), MaxSize: 1 << 20})
	if err != nil || s.skipped["/sparse"] == nil || !strings.Contains(s.skipped["/sparse"].Error(), "1099511627776 bytes") {
		t.Errorf("%v, skipped %v", err, s.skipped)
	}
	if err := os.Truncate(sparse, 3<<20); err != nil {
		t.Fatal(err)
	}
	s, err = write(t, scan.Options{Root: dir, Trees: trees(dir), MaxSize: 3 << 20})
	if sum := sha256.Sum256(make([]byte, 3<<20)); err != nil || !bytes.Equal(s.digests["/sparse"], sum[:]) {
		t.Errorf("a sparse file: %v, %v", err, s.skipped)
	}
	// As root everything can be opened; this one cannot be read.
	s, err = write(t, scan.Options{Root: "/", Listed: []string{filepath.Join(dir, "small"), fmt.Sprintf("/proc/%d/mem", os.Getpid())}})
	if err != nil || len(s.skipped) != 1 || len(s.paths) != 1 {
		t.Errorf("%v, skipped %v, listed %q", err, s.skipped, s.paths)
	}
}

// A file must be what was measured, by whatever algorithm that was.
func TestExpected(t *testing.T) {
	dir := tree(t, map[string]string{"same": "s", "sha1": "1", "other": "o"})
	same, old := sha256.Sum256([]byte("s")), sha1.Sum([]byte("1"))
	s, err := write(t, scan.Options{Root: dir, Listed: []string{dir + "/same", dir + "/sha1", dir + "/other"}, Expected: map[string]scan.Expectation{
		dir + "/same":  {Algo: digestlist.SHA256, Digest: same[:]},
		dir + "/sha1":  {Algo: digestlist.SHA1, Digest: old[:]},
		dir + "/other": {Algo: digestlist.SHA256, Digest: same[:]},
	}})
	if err != nil || !slices.Equal(s.paths, []string{"/same", "/sha1"}) || !errors.Is(s.skipped["/other"], scan.ErrDiffers) {
		t.Errorf("%v, listed %q, skipped %v", err, s.paths, s.skipped)
	}
	if sum := sha256.Sum256([]byte("1")); !bytes.Equal(s.digests["/sha1"], sum[:]) {
		t.Error("the list has the digest of its own algorithm")
	}
}

func TestCancelled(t *testing.T) {
	dir := tree(t, map[string]string{"a": "a", "b": "b"})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	out, err := os.Create(filepath.Join(t.TempDir(), "body"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	_, err = scan.Write(ctx, scan.Options{Root: dir, Trees: trees(dir), Algo: digestlist.SHA256, MaxSize: 1 << 20, Report: func(int, int64) {}, Skipped: func(string, error) {}}, out)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
