// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
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
	for range 1000 {
		ask()
	}
	var took sample
	for range questions {
		took.add(float64(ask().Microseconds()))
	}
	l.report.row("`why` over D-Bus, %d files, %d questions: median, p99, longest",
		fmt.Sprintf("%.0f µs, %.0f µs, %.0f µs", took.median(), took.quantile(0.99), took.max()),
		"p99 at most 1000 µs", took.quantile(0.99) <= 1000, files, questions)
	l.report.row("Memory after these (VmRSS)", mebibytes(status(l, d.PID(), "VmRSS")), "", true)
	d.Stop()
}
