// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/rpmdb"
	"golang.org/x/sys/unix"
)

// headers announces all packages of the large database to a daemon whose own
// has none, as the plugin would.
func (l *lab) headers() {
	headers := l.allHeaders()
	var medians, highs, ends, work pair
	l.alternate(func(s side) {
		took, end, used := l.announce(s, headers, "none")
		medians[s.at].add(1000 * took.median())
		highs[s.at].add(took.quantile(0.99))
		ends[s.at].add(end)
		work[s.at].add(used)
	})
	b := bound{text: "at most that of " + reference + "; goal 300 µs", notEnforced: *alone, goal: 300, hasGoal: true}
	if !*alone {
		b.most = medians[then].median()
	}
	l.report.row(fmt.Sprintf("Header's round trip, %d packages of distribution size: median", len(headers.sent)), "µs", medians, b)
	b = bound{text: "at most that of " + reference + "; goal 1 ms", notEnforced: *alone, goal: 1, hasGoal: true}
	if !*alone {
		b.most = highs[then].median()
	}
	l.report.row("The same: p99", "ms", highs, b)
	l.report.row("End of that transaction", "ms", ends, informs)
	l.report.row("Processor time that the daemon takes for it, a header", "ms", work, informs)
}

// trail is the same with the audit trail on: every event goes to a journal.
func (l *lab) trail() {
	headers := l.allHeaders()
	var medians, ends pair
	l.alternate(func(s side) {
		journal := l.journal()
		took, end, _ := l.announce(s, headers, journal.dir)
		medians[s.at].add(1000 * took.median())
		ends[s.at].add(end)
		journal.await(l, len(headers.sent))
	})
	l.report.row("Header's round trip with the audit trail on: median", "µs", medians, informs)
	l.report.row("End of that transaction", "ms", ends, informs)
}

// announcement is what the plugin says of one transaction.
type announcement struct {
	elements []wire.Element
	sent     []*wire.Header
}

func (l *lab) allHeaders() (a announcement) {
	l.Helper()
	db, err := rpmdb.Open(l.root.Database())
	if err != nil {
		l.Fatal(err)
	}
	err = db.Headers(l.Context(), func(_ uint32, blob []byte) error {
		h, err := header.Parse(append([]byte(nil), blob...))
		if err != nil {
			return err
		}
		n, err := h.NEVRA()
		if err != nil || n.Name == "gpg-pubkey" {
			return err
		}
		region, err := h.Immutable()
		if err != nil {
			return err
		}
		element := uint32(len(a.elements))
		a.elements = append(a.elements, wire.Element{Type: wire.Added, NEVRA: n})
		a.sent = append(a.sent, &wire.Header{Element: element, Type: wire.Added, Region: region, Signatures: h.Signatures()})
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
	return a
}

// announce runs such a transaction and returns how long each header and the end
// took, and what processor time a header took the daemon, all in milliseconds.
func (l *lab) announce(s side, a announcement, trail string) (took sample, end, work float64) {
	l.Helper()
	root := l.emptyRoot()
	d := l.daemon(s, root)
	d.Config = append(d.Config, fmt.Sprintf("audit-trail = %q", trail))
	d.Start()
	defer d.Stop()
	begin := &wire.Begin{Plugin: "bench", RPM: "none", Root: root.Dir + "/", DBPath: pkgtest.DBPath, TID: 1, Elements: a.elements}
	begin.RootDev, begin.RootIno = l.identity(root.Dir)
	begin.DBDev, begin.DBIno = l.identity(root.Database())
	client, err := wire.Dial(l.Context(), d.Socket())
	if err != nil {
		l.Fatal(err)
	}
	defer client.Close()
	verdict, err := client.Begin(l.Context(), begin)
	if err != nil || verdict.Decision != wire.Assured {
		l.Fatalf("%v %+v", err, verdict)
	}
	settle()
	runtime.GC() // ours is no part of what is measured
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	before := processor(l, d.PID())
	for _, h := range a.sent {
		started := time.Now()
		list, err := client.Header(l.Context(), h)
		took.add(millis(time.Since(started)))
		if err != nil || list.Decision == wire.RefuseList || len(list.Notes) > 0 {
			l.Fatalf("%v %+v", err, list)
		}
		if err := client.Installed(&wire.Installed{Element: h.Element}); err != nil {
			l.Fatal(err)
		}
	}
	started := time.Now()
	if _, err := client.End(l.Context(), &wire.End{}); err != nil {
		l.Fatal(err)
	}
	end = millis(time.Since(started))
	work = 1000 * (processor(l, d.PID()) - before).Seconds() / float64(len(a.sent))
	l.synced(d, len(a.sent))
	return took, end, work
}

// emptyRoot has no package, and trusts the key of the large database.
func (l *lab) emptyRoot() *pkgtest.Root {
	l.Helper()
	root, err := pkgtest.NewRoot(l.TempDir())
	if err != nil {
		l.Fatal(err)
	}
	key, err := pkgtest.NewKey("distribution", keyBits)
	if err != nil {
		l.Fatal(err)
	}
	if err := root.Import(key); err != nil {
		l.Fatal(err)
	}
	return root
}

func (l *lab) identity(path string) (dev, ino uint64) {
	l.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		l.Fatal(err)
	}
	return st.Dev, st.Ino
}
