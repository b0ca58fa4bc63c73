// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"net"
	"path/filepath"
	"sync/atomic"
	"time"
)

// journal takes what the audit trail sends, as journald's socket does, and keeps
// nothing.
type journal struct {
	dir   string // where its socket is
	count atomic.Int64
}

func (l *lab) journal() *journal {
	l.Helper()
	j := &journal{dir: l.TempDir()}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(j.dir, "socket"), Net: "unixgram"})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { conn.Close() })
	go func() {
		for buf := make([]byte, 64<<10); ; j.count.Add(1) {
			if _, err := conn.Read(buf); err != nil {
				return
			}
		}
	}()
	return j
}

// await waits until it got n messages: they are sent apart from what they tell of.
func (j *journal) await(l *lab, n int) {
	l.Helper()
	for deadline := time.Now().Add(10 * time.Second); int(j.count.Load()) < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("the journal got %d messages, not %d", j.count.Load(), n)
		}
	}
}
