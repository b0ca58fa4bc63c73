// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"fmt"
	"time"

	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/pkgtest"
)

// dump times rpm as it reads the same database.
func (l *lab) dump(root *pkgtest.Root) time.Duration {
	l.Helper()
	cmd := root.Command("-qa", "--dump")
	started := time.Now()
	if err := cmd.Run(); err != nil {
		l.Fatal(err)
	}
	return time.Since(started)
}

// firstSync starts on an empty state directory. rpm reads the same between.
func (l *lab) firstSync() {
	var took, peaks, rpms pair
	l.alternate(func(s side) {
		d := l.daemon(s, l.root)
		settle()
		took[s.at].add(d.Start().Seconds())
		peaks[s.at].add(inMiB(status(l, d.PID(), "VmHWM")))
		l.synced(d, packages)
		d.Stop()
		if s.at == today {
			rpms[today].add(l.dump(l.root).Seconds())
		}
	})
	l.report.ratio(fmt.Sprintf("First sync, %d packages, %d files: from exec to ready, verified, signed, durable", packages, files), "s",
		took, took[today].median()/rpms[today].median(), bound{text: "at most 0.6 × `rpm -qa --dump`", most: 0.6})
	l.report.row("`rpm -qa --dump` of the same database", "s", rpms, informs)
	l.report.row("First sync: peak memory (VmHWM)", "MiB", peaks, atMost(64, "MiB"))
}

// growth does the same with a database that is many times larger.
func (l *lab) growth() {
	root, _ := l.database(gendb.Shape{Packages: *scale, Files: files / packages * *scale, Bits: keyBits})
	var small, took, peaks pair
	l.alternate(func(s side) {
		d := l.daemon(s, l.root)
		settle()
		small[s.at].add(d.Start().Seconds())
		d.Stop()
		d = l.daemon(s, root)
		settle()
		took[s.at].add(d.Start().Seconds())
		peaks[s.at].add(inMiB(status(l, d.PID(), "VmHWM")))
		l.synced(d, *scale)
		d.Stop()
	})
	count := files / packages * *scale
	factor := took[today].median() / float64(*scale) / (small[today].median() / packages)
	l.report.ratio(fmt.Sprintf("First sync, %d packages, %d files; time a package, compared with %d packages", *scale, count, packages), "s",
		took, factor, bound{text: "at most 1.3", most: 1.3})
	b := atMost(160, "MiB")
	l.report.row(fmt.Sprintf("Peak memory of that (VmHWM), %d files", count), "MiB", peaks, b.aim(64+24*float64(count)/(1<<20), "MiB"))
}

func (l *lab) restart() {
	daemons := l.started(l.root)
	for _, s := range l.sides {
		daemons[s.at].Stop()
	}
	var took pair
	l.alternate(func(s side) {
		d := daemons[s.at]
		settle()
		took[s.at].add(1000 * d.Start().Seconds())
		l.synced(d, packages)
		d.Stop()
	})
	b := atMost(120, "ms")
	l.report.row("Restart with nothing changed: from exec to ready", "ms", took, b.aim(100, "ms"))
}
