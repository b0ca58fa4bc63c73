// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"fmt"
	"time"

	"github.com/digestd/digestd/integration/pkgtest"
)

// rest is how long after the last question a daemon has given back the memory
// that it took, and sleeps.
const rest = 20 * time.Second

// idle measures daemons that were left alone after their first sync, all at the
// same time.
func (l *lab) idle() {
	const window = 20 * time.Second
	var wakeups, memory, anonymous, asked pair
	type left struct {
		side
		*pkgtest.Daemon
		before int64
	}
	var all []left
	l.alternate(func(s side) {
		d := l.daemon(s, l.root)
		d.Start()
		all = append(all, left{side: s, Daemon: d})
	})
	time.Sleep(rest)
	for i := range all {
		all[i].before = switches(l, all[i].PID())
	}
	time.Sleep(window)
	for _, d := range all {
		wakeups[d.at].add(float64(switches(l, d.PID()) - d.before))
		memory[d.at].add(inMiB(status(l, d.PID(), "VmRSS")))
		anonymous[d.at].add(inMiB(status(l, d.PID(), "RssAnon")))
	}
	for _, d := range all {
		ask := l.asker(d.Daemon, 1)
		for range 2000 {
			ask()
		}
	}
	time.Sleep(rest)
	for _, d := range all {
		asked[d.at].add(inMiB(status(l, d.PID(), "VmRSS")))
		d.Stop()
	}
	l.report.row(fmt.Sprintf("Idle: wake-ups in %v, all threads", window), "", wakeups, bound{text: "none"})
	b := atMost(25, "MiB")
	l.report.row("Idle: memory (VmRSS)", "MiB", memory, b.aim(20, "MiB"))
	l.report.row("Of it anonymous (RssAnon)", "MiB", anonymous, informs)
	l.report.row(fmt.Sprintf("Memory %v after 2000 questions (VmRSS)", rest), "MiB", asked, atMost(30, "MiB"))
}
