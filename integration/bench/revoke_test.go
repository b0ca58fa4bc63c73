// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// revocation withdraws the lists of all packages at once: one key signed them.
func (l *lab) revocation() {
	var gone, answered pair
	daemons := l.started(l.root)
	var managers [2]dbus.BusObject
	for _, s := range l.sides {
		managers[s.at] = l.connect(daemons[s.at])
	}
	key := l.listedKey(managers[today])
	lists := 0
	l.alternate(func(s side) {
		d, manager := daemons[s.at], managers[s.at]
		call := func(method string) {
			var answer map[string]dbus.Variant
			if err := manager.Call("org.digestd1.Manager."+method, 0, key, "measured").Store(&answer); err != nil {
				l.Fatal(err)
			}
		}
		l.synced(d, packages)
		entries, err := os.ReadDir(d.Lists())
		if err != nil {
			l.Fatal(err)
		}
		lists = len(entries)
		leaving := l.watchLeaving(d.Lists(), lists)
		settle()
		started := time.Now()
		call("KeyRevoke")
		answered[s.at].add(millis(time.Since(started)))
		gone[s.at].add(millis((<-leaving).Sub(started)))
		if entries, err := os.ReadDir(d.Lists()); err != nil || len(entries) > 0 {
			l.Fatalf("%d lists are left (%v)\n%s", len(entries), err, d.Log())
		}
		call("KeyRestore")
		if err := manager.Call("org.digestd1.Manager.Sync", 0).Err; err != nil {
			l.Fatal(err)
		}
		l.restored(d.Lists(), lists)
	})
	b := atMost(60, "ms")
	l.report.row(fmt.Sprintf("Revocation of a key with %d lists: from the D-Bus call until the last is out of the directory", lists),
		"ms", gone, b.aim(50, "ms"))
	b = atMost(500, "ms")
	l.report.row("The same, until the call is answered: on disk, labels of their files refreshed", "ms", answered, b.aim(300, "ms"))
	for _, s := range l.sides {
		daemons[s.at].Stop()
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// listedKey returns the fingerprint of the one key that vouches for packages.
func (l *lab) listedKey(manager dbus.BusObject) string {
	l.Helper()
	var keys []map[string]dbus.Variant
	var total uint32
	if err := manager.Call("org.digestd1.Manager.Keys", 0, uint32(0), uint32(0)).Store(&keys, &total); err != nil {
		l.Fatal(err)
	}
	for _, k := range keys {
		if use, _ := k["use"].Value().(string); use == "" {
			return k["fingerprint"].Value().(string)
		}
	}
	l.Fatalf("no key among %v", keys)
	return ""
}

// watchLeaving tells when n names have left a directory. It asks the kernel to
// tell each: reading the directory over and over would hold up the process that empties it.
func (l *lab) watchLeaving(dir string, n int) <-chan time.Time {
	l.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, dir, unix.IN_DELETE|unix.IN_MOVED_FROM)
	}
	if err != nil {
		l.Fatal(err)
	}
	done := make(chan time.Time, 1)
	go func() {
		defer unix.Close(fd)
		buf := make([]byte, 64<<10)
		for n > 0 {
			got, err := unix.Read(fd, buf)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				l.Error(err)
				break
			}
			n -= events(buf[:got])
		}
		done <- time.Now()
	}()
	return done
}

// events counts what one read from inotify returned.
func events(buf []byte) (n int) {
	for len(buf) >= unix.SizeofInotifyEvent {
		var e unix.InotifyEvent
		if binary.Read(bytes.NewReader(buf), binary.NativeEndian, &e) != nil {
			return n
		}
		buf = buf[unix.SizeofInotifyEvent+int(e.Len):]
		n++
	}
	return n
}

// restored waits for n lists.
func (l *lab) restored(dir string, n int) {
	l.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			l.Fatal(err)
		}
		if len(entries) == n {
			return
		}
		if time.Now().After(deadline) {
			l.Fatalf("%d of %d lists came back", len(entries), n)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
