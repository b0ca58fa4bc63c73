// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

var (
	reportFile = flag.String("report", "", "write the figures to this `file`, too")
	scale      = flag.Int("scale", 20_000, "`packages` of the large database")
	only       = flag.String("rows", "", "measure these alone, as `why,restart`")
	alone      = flag.Bool("alone", false, "leave the reference out")
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
	report  *report
	sides   []side
	root    *pkgtest.Root // has packages and their files
	content gendb.Summary
}

// measurements are what -rows names.
var measurements = []struct {
	name    string
	measure func(*lab)
}{
	{"sync", (*lab).firstSync},
	{"restart", (*lab).restart},
	{"idle", (*lab).idle},
	{"why", (*lab).why},
	{"clients", (*lab).clients},
	{"headers", (*lab).headers},
	{"trail", (*lab).trail},
	{"revoke", (*lab).revocation},
	{"install", (*lab).installation},
	{"small", (*lab).smallInstallation},
	{"verify", (*lab).verification},
	{"growth", (*lab).growth},
	{"step", (*lab).ledgerStep},
	{"advisories", (*lab).advisories},
}

// chosen returns the names that -rows has, or all.
func chosen(tb testing.TB) []string {
	tb.Helper()
	var known []string
	for _, m := range measurements {
		known = append(known, m.name)
	}
	if *only == "" {
		return known
	}
	names := strings.Split(*only, ",")
	for _, name := range names {
		if !slices.Contains(known, name) {
			tb.Fatalf("there are no rows %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return names
}

// BenchmarkFigures measures what -rows names, or all.
func BenchmarkFigures(b *testing.B) {
	names := chosen(b)
	l := &lab{B: b, report: &report{}}
	l.buildSides()
	l.root, l.content = l.database(gendb.Shape{Packages: packages, Files: files, Bits: keyBits, Tree: true})
	for _, m := range measurements {
		if !slices.Contains(names, m.name) {
			continue
		}
		b.Run(m.name, func(b *testing.B) {
			started := time.Now()
			part := *l
			part.B = b
			m.measure(&part)
			b.Logf("%s took %v", m.name, time.Since(started).Round(time.Second))
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

// daemon prepares a daemon of a side that has seen nothing yet.
func (l *lab) daemon(s side, root *pkgtest.Root) *pkgtest.Daemon {
	l.Helper()
	d := pkgtest.NewDaemon(l, s.programs, root, l.TempDir())
	d.Former = s.at == then
	return d
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

// packageFiles returns the packages of a directory.
func (l *lab) packageFiles(dir string) []string {
	l.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.rpm"))
	if err != nil {
		l.Fatal(err)
	}
	return names
}
