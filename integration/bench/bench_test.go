// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

var (
	reportFile = flag.String("report", "", "write the figures to this `file`, too")
	scale      = flag.Int("scale", 20_000, "`packages` of the large database")
)

// The machine of the first figure: a server of a distribution.
const (
	packages = 800
	files    = 95_000
	keyBits  = 4096
)

// lab is what the measurements share.
type lab struct {
	*testing.B
	report   *report
	programs pkgtest.Programs
	root     *pkgtest.Root // has packages and their files
	content  gendb.Summary
}

// BenchmarkFigures runs each measurement once. One alone is chosen by its name:
// -bench Figures/why.
func BenchmarkFigures(b *testing.B) {
	programs, err := pkgtest.BuildPrograms(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	l := &lab{B: b, report: &report{}, programs: programs}
	l.root, l.content = l.database(gendb.Shape{Packages: packages, Files: files, Bits: keyBits, Tree: true})
	for _, m := range []struct {
		name    string
		measure func(*lab)
	}{
		{"sync", (*lab).firstSync},
		{"restart", (*lab).restart},
		{"idle", (*lab).idle},
		{"why", (*lab).why},
		{"headers", (*lab).headers},
		{"verify", (*lab).verification},
		{"revoke", (*lab).revocation},
		{"install", (*lab).installation},
		{"growth", (*lab).growth},
	} {
		b.Run(m.name, func(b *testing.B) {
			part := *l
			part.B = b
			m.measure(&part)
		})
	}
	text := l.report.String()
	fmt.Fprint(os.Stderr, "\n", text)
	if *reportFile != "" {
		if err := os.WriteFile(*reportFile, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
}

// database makes a root with such a database.
func (l *lab) database(s gendb.Shape) (*pkgtest.Root, gendb.Summary) {
	l.Helper()
	root, err := pkgtest.NewRoot(l.TempDir())
	if err != nil {
		l.Fatal(err)
	}
	sum, err := gendb.Write(l.Context(), root, s)
	if err != nil {
		l.Fatal(err)
	}
	l.Logf("database of %d packages, %d files, %s of headers", sum.Packages, sum.Files, mebibytes(sum.Bytes))
	return root, sum
}

// daemon prepares a daemon that has seen nothing yet.
func (l *lab) daemon(root *pkgtest.Root) *pkgtest.Daemon {
	l.Helper()
	return pkgtest.NewDaemon(l, l.programs, root, l.TempDir())
}

// settle lets nobody pay for what others wrote.
func settle() { unix.Sync() }

// synced checks that a daemon did what was measured, all of it.
func (l *lab) synced(d *pkgtest.Daemon, packages int) {
	l.Helper()
	lists, err := os.ReadDir(d.Lists())
	if err != nil {
		l.Fatal(err)
	}
	// Some packages have no regular file.
	if len(lists) < packages*95/100 {
		l.Fatalf("%d packages have %d lists\n%s", packages, len(lists), d.Log())
	}
}

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

func (l *lab) firstSync() {
	const rounds = 9
	var ours, rpms, peaks sample
	for range rounds {
		d := l.daemon(l.root)
		settle()
		ours.add(d.Start().Seconds())
		peaks.add(float64(status(l, d.PID(), "VmHWM")))
		l.synced(d, packages)
		d.Stop()
		settle()
		rpms.add(l.dump(l.root).Seconds())
	}
	l.report.row("First sync, %d packages, %d files: from exec to ready, verified, signed, durable",
		ours.text("s"), "at most `rpm -qa --dump`: "+rpms.text("s"), ours.median() <= rpms.median(), packages, files)
	l.report.row("First sync: peak memory (VmHWM)", mebibytes(int64(peaks.max())), "at most 64 MiB", peaks.max() <= 64<<20)
}

// growth compares with a database that is many times larger.
func (l *lab) growth() {
	root, _ := l.database(gendb.Shape{Packages: *scale, Files: files / packages * *scale, Bits: keyBits})
	var small, took, peaks sample
	for range 3 {
		d := l.daemon(l.root)
		settle()
		small.add(d.Start().Seconds())
		d.Stop()
		d = l.daemon(root)
		settle()
		took.add(d.Start().Seconds())
		peaks.add(float64(status(l, d.PID(), "VmHWM")))
		l.synced(d, *scale)
		d.Stop()
	}
	factor := took.median() / float64(*scale) / (small.median() / packages)
	l.report.row("First sync, %d packages, %d files: time a package, compared with %d packages",
		fmt.Sprintf("%.2f× (%s, peak %s)", factor, took.text("s"), mebibytes(int64(peaks.max()))), "at most 1.3×", factor <= 1.3,
		*scale, files/packages**scale, packages)
}

func (l *lab) restart() {
	d := l.daemon(l.root)
	d.Start()
	d.Stop()
	var took sample
	for range 9 {
		settle()
		took.add(d.Start().Seconds())
		l.synced(d, packages)
		d.Stop()
	}
	l.report.row("Restart with nothing changed: from exec to ready", took.text("s"), "", true)
}

// rest is how long after the last question a daemon has given back the memory
// that it took, and sleeps.
const rest = 20 * time.Second

// idle measures a daemon that was left alone after its first sync.
func (l *lab) idle() {
	const window = 20 * time.Second
	d := l.daemon(l.root)
	d.Start()
	time.Sleep(rest)
	before := switches(l, d.PID())
	time.Sleep(window)
	n := switches(l, d.PID()) - before
	rss := status(l, d.PID(), "VmRSS")
	l.report.row("Idle: wake-ups in %v, all threads", fmt.Sprint(n), "none", n == 0, window)
	l.report.row("Idle: memory (VmRSS; of it anonymous)", mebibytes(rss)+"; "+mebibytes(status(l, d.PID(), "RssAnon")), "at most 30 MiB", rss <= 30<<20)
	d.Stop()
}

// packageFiles returns the packages of a directory.
func (l *lab) packageFiles(dir string) []string {
	l.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.rpm"))
	if err != nil {
		l.Fatal(err)
	}
	return names
}
