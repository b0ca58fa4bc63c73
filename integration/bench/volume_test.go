// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// apart runs measure on a file system of its own, fresh and with a journal as
// distributions make it. On one that others have used, ext4 searches longer for a
// free inode the more of them were freed within the last seconds.
func (l *lab) apart(name string, measure func(*lab)) {
	l.Helper()
	done := l.Run(name, func(b *testing.B) {
		part := *l
		part.B = b
		b.Setenv("TMPDIR", part.volume())
		measure(&part)
	})
	if !done {
		l.FailNow()
	}
}

// volume mounts such a file system.
func (l *lab) volume() string {
	l.Helper()
	const size = 4 << 30
	image, err := os.CreateTemp("/var/tmp", "digestd-bench.*")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { os.Remove(image.Name()) })
	err = image.Truncate(size)
	if cerr := image.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		l.Fatal(err)
	}
	// Not by TempDir, which is to lie on what is mounted.
	at, err := os.MkdirTemp("", "volume")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { os.Remove(at) })
	for _, args := range [][]string{
		{"mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=0,lazy_journal_init=0", image.Name()},
		{"mount", "-o", "loop", image.Name(), at},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			l.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	l.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil {
			l.Errorf("cannot unmount %s: %v", at, err)
		}
	})
	return at
}
