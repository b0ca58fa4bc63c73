// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5"
)

// why asks about files at random, one question after the other, on one
// connection to the bus.
func (l *lab) why() {
	const questions = 20_000
	d := l.daemon(l.root)
	d.Start()
	conn, err := dbus.Connect(d.Bus.Address)
	if err != nil {
		l.Fatal(err)
	}
	defer conn.Close()
	manager := conn.Object("org.digestd1", "/org/digestd1")
	random := rand.New(rand.NewPCG(1, 2))
	ask := func() time.Duration {
		path := filepath.Join(l.root.Dir, l.content.Paths[random.IntN(len(l.content.Paths))])
		var answer map[string]dbus.Variant
		started := time.Now()
		if err := manager.Call("org.digestd1.Manager.Why", 0, path).Store(&answer); err != nil {
			l.Fatal(err)
		}
		took := time.Since(started)
		if v := answer["verdict"].Value(); v != string(api.VerdictVouched) {
			l.Fatalf("verdict on %s is %v: %v", path, v, answer)
		}
		return took
	}
	ping := func() time.Duration {
		started := time.Now()
		if err := manager.Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
			l.Fatal(err)
		}
		return time.Since(started)
	}
	for range 1000 {
		ask()
	}
	settle()
	runtime.GC() // ours is no part of what is measured
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var took, floor sample
	for i := range questions {
		took.add(float64(ask().Microseconds()))
		if i%10 == 0 {
			floor.add(float64(ping().Microseconds()))
		}
	}
	l.report.row("`why` over D-Bus, %d files, %d questions: median, p99, longest",
		took.microseconds(), "p99 at most 1000 µs", took.quantile(0.99) <= 1000, files, questions)
	l.report.row("Of that, what the bus takes: Ping, between the questions", floor.microseconds(), "", true)
	busy := status(l, d.PID(), "VmRSS")
	time.Sleep(rest)
	idle := status(l, d.PID(), "VmRSS")
	l.report.row("Memory after these (VmRSS), and %v later", mebibytes(busy)+"; "+mebibytes(idle), "idle at most 30 MiB", idle <= 30<<20, rest)
	d.Stop()
}
