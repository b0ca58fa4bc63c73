// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/godbus/dbus/v5"
)

// connect returns an object of a daemon on its bus.
func (l *lab) connect(d *pkgtest.Daemon) dbus.BusObject {
	l.Helper()
	conn, err := dbus.Connect(d.Bus.Address)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { conn.Close() })
	return conn.Object("org.digestd1", "/org/digestd1")
}

// asker returns a function that asks a daemon about a file at random, as root.
func (l *lab) asker(d *pkgtest.Daemon, seed uint64) func() {
	l.Helper()
	manager := l.connect(d)
	random := rand.New(rand.NewPCG(seed, 2))
	return func() {
		path := filepath.Join(l.root.Dir, l.content.Paths[random.IntN(len(l.content.Paths))])
		var answer map[string]dbus.Variant
		if err := manager.Call("org.digestd1.Manager.Why", 0, path).Store(&answer); err != nil {
			l.Fatal(err)
		}
		if v := answer["verdict"].Value(); v != string(api.VerdictVouched) {
			l.Fatalf("verdict on %s is %v: %v", path, v, answer)
		}
	}
}

// why asks about files at random, one question after the other, on one
// connection to the bus, and between the questions for nothing.
func (l *lab) why() {
	const questions = 4000
	daemons := l.started(l.root)
	var asks, pings [2]func()
	for _, s := range l.sides {
		d := daemons[s.at]
		manager := l.connect(d)
		asks[s.at] = l.asker(d, 1)
		pings[s.at] = func() {
			if err := manager.Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
				l.Fatal(err)
			}
		}
		for range 1000 {
			asks[s.at]()
		}
	}
	settle()
	runtime.GC() // ours is no part of what is measured
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var medians, highs, pinged, over, work pair
	l.alternate(func(s side) {
		var took, floor sample
		before := processor(l, daemons[s.at].PID())
		for range questions {
			took.add(millis(timed(asks[s.at])))
			floor.add(millis(timed(pings[s.at])))
		}
		work[s.at].add(1000 * (processor(l, daemons[s.at].PID()) - before).Seconds() / questions)
		medians[s.at].add(took.median())
		highs[s.at].add(took.quantile(0.99))
		pinged[s.at].add(floor.quantile(0.99))
		over[s.at].add(took.quantile(0.99) - floor.quantile(0.99))
	})
	l.report.row(fmt.Sprintf("`why` over D-Bus, %d files, %d questions: median", files, questions), "ms", medians, informs)
	l.report.row("The same: p99", "ms", highs, informs)
	l.report.row("What the bus takes of it, Ping between the questions: p99", "ms", pinged, informs)
	b := atMost(0.5, "ms")
	l.report.row("p99 of `why` over that of Ping", "ms", over, b.aim(0.3, "ms"))
	l.report.row("Processor time a question and a Ping, with its processes", "ms", work, informs)
}

func timed(do func()) time.Duration {
	started := time.Now()
	do()
	return time.Since(started)
}
