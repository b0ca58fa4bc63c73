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
	root := l.emptyRoot()
	d := l.daemon(root)
	d.Start()
	begin := &wire.Begin{Plugin: "bench", RPM: "none", Root: root.Dir + "/", DBPath: pkgtest.DBPath, TID: 1}
	begin.RootDev, begin.RootIno = l.identity(root.Dir)
	begin.DBDev, begin.DBIno = l.identity(root.Database())
	var headers []*wire.Header
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
		element := uint32(len(begin.Elements))
		begin.Elements = append(begin.Elements, wire.Element{Type: wire.Added, NEVRA: n})
		headers = append(headers, &wire.Header{Element: element, Type: wire.Added, Region: region, Signatures: h.Signatures()})
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
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
	var took sample
	for _, h := range headers {
		started := time.Now()
		list, err := client.Header(l.Context(), h)
		took.add(float64(time.Since(started).Microseconds()))
		if err != nil || list.Decision == wire.RefuseList || len(list.Notes) > 0 {
			l.Fatalf("%v %+v", err, list)
		}
	}
	started := time.Now()
	if _, err := client.End(l.Context(), &wire.End{}); err != nil {
		l.Fatal(err)
	}
	l.report.row("Header's round trip, %d packages of distribution size: median, p99, longest (end of the transaction)",
		fmt.Sprintf("%s (%d ms)", took.microseconds(), time.Since(started).Milliseconds()),
		"median at most 400 µs", took.median() <= 400, len(headers))
	d.Stop()
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
