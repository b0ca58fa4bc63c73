// SPDX-License-Identifier: Apache-2.0

package look

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist"
	"golang.org/x/sys/unix"
)

// The processes of a pool are this very program.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == Argument {
		if err := Serve(os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func newPool(t testing.TB, root string) *Pool {
	p := NewPool(root)
	t.Cleanup(p.Close)
	return p
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsFound(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "content")
	if err := errors.Join(os.Symlink("/file", filepath.Join(dir, "link")), unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644),
		os.Mkdir(filepath.Join(dir, "dir"), 0o755)); err != nil {
		t.Fatal(err)
	}
	p := newPool(t, dir)
	for path, want := range map[string]Kind{"/file": Regular, "/link": Regular, "/absent": Missing, "/file/below": Missing, "/fifo": NotRegular, "/dir": NotRegular} {
		got, err := p.At(t.Context(), path, digestlist.SHA256)
		if err != nil || got.Kind != want {
			t.Errorf("%s: %q, %v, want %q", path, got.Kind, err, want)
		}
		if sum := sha256.Sum256([]byte("content")); want == Regular && (!bytes.Equal(got.Digests[digestlist.SHA256], sum[:]) || !strings.HasSuffix(string(got.Real), "/file")) {
			t.Errorf("%s: %+v", path, got)
		}
	}
	system := newPool(t, "/")
	for _, path := range []string{"/proc/self/status", "/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"} {
		if got, err := system.At(t.Context(), path, digestlist.SHA256); err != nil || got.Kind != MadeUp && got.Kind != Missing || got.Digests != nil {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
}

// Questions that come one after the other are answered by one process.
func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "content")
	p := newPool(t, dir)
	for range 2 * readers {
		if _, err := p.At(t.Context(), "/file"); err != nil {
			t.Fatal(err)
		}
	}
	running := 0
	for _, s := range p.slots {
		if s.worker != nil {
			running++
		}
	}
	if running != 1 || len(p.slots) != readers {
		t.Errorf("%d processes run in %d slots", running, len(p.slots))
	}
}

// What is called meanwhile is called once, while the process looks: not without a process.
func TestAtWhile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "content")
	p := newPool(t, dir)
	calls := 0
	if found, err := p.AtWhile(t.Context(), "/file", func() { calls++ }, digestlist.SHA256); err != nil || found.Kind != Regular || calls != 1 {
		t.Errorf("%+v, %v after %d calls", found, err, calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := p.AtWhile(ctx, "/file", cancel, digestlist.SHA256); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
	if found, err := p.At(t.Context(), "/file", digestlist.SHA256); err != nil || found.Kind != Regular {
		t.Errorf("the question after that: %+v, %v", found, err)
	}
	p.stuck.Store(maxStuck)
	defer p.stuck.Store(0)
	for _, s := range p.slots {
		s.rest(0)
	}
	if _, err := p.AtWhile(t.Context(), "/file", func() { calls++ }); err == nil || calls != 1 {
		t.Errorf("without a process: %v after %d calls", err, calls)
	}
}

// A question that takes too long ends with its process, and the next has another.
func TestDeadline(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "content")
	write(t, filepath.Join(dir, "large"), "")
	if err := os.Truncate(filepath.Join(dir, "large"), maxRead); err != nil {
		t.Fatal(err)
	}
	p := newPool(t, dir)
	for range readers + 1 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := p.At(ctx, "/large", digestlist.SHA256, digestlist.SHA512); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a question of 50 ms came to %v", err)
		}
		cancel()
	}
	if _, err := p.At(t.Context(), "/file", digestlist.SHA256); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(10 * time.Second); p.stuck.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a process is left")
		}
	}
}

// Closing a file drops all locks of the process on it: those of sqlite, if it is
// rpm's database. So the daemon never opens what it is asked about.
func TestLocksStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "database")
	write(t, path, "content")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Len: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := newPool(t, filepath.Dir(path)).At(t.Context(), "/database", digestlist.SHA256); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(locks)) {
		if w := strings.Fields(line); w[1] == "POSIX" && w[4] == fmt.Sprint(os.Getpid()) && strings.HasSuffix(w[5], fmt.Sprintf(":%d", st.Ino)) {
			return
		}
	}
	t.Errorf("the lock is gone:\n%s", locks)
}

func BenchmarkPool(b *testing.B) {
	dir := b.TempDir()
	write(b, filepath.Join(dir, "file"), strings.Repeat("content ", 800))
	p := newPool(b, dir)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.At(b.Context(), "/file", digestlist.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}
