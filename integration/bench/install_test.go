// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/pkgtest"
)

// installed packages, and where their files lie.
const (
	installed = 500
	below     = "/opt"
)

// installation times rpm with and without the plugin: with packages of the
// proportions that the large database has.
func (l *lab) installation() {
	shape := gendb.Shape{Packages: installed, Files: files / packages * installed}
	b := bound{text: "at most +4 %", most: 0.04}
	l.installs(fmt.Sprintf("%d packages of distribution size, %d files", installed, shape.Files), b, gendb.Packages(shape, below))
}

// smallInstallation does that with packages so small that what comes with each of
// them counts most.
func (l *lab) smallInstallation() {
	b := bound{text: "at most +5 %", most: 0.05}
	l.installs(fmt.Sprintf("%d packages of 1 to 40 files, each of at most 8 kB", installed), b, smallPackages(installed, below))
}

func smallPackages(count int, below string) iter.Seq[pkgtest.Package] {
	return func(yield func(pkgtest.Package) bool) {
		random := rand.New(rand.NewPCG(3, 4))
		for i := range count {
			p := pkgtest.Package{Name: fmt.Sprintf("package%d", i), Version: "1", Release: "1", Arch: "noarch", Files: map[string]string{}}
			for f := range 1 + random.IntN(40) {
				content := make([]byte, random.IntN(8000))
				for j := range content {
					content[j] = byte(random.Uint32())
				}
				p.Files[fmt.Sprintf("%s/%s/file%d", below, p.Name, f)] = string(content)
			}
			if !yield(p) {
				return
			}
		}
	}
}

func (l *lab) installs(title string, b bound, all iter.Seq[pkgtest.Package]) {
	l.Helper()
	key, err := pkgtest.NewKey("distribution", keyBits)
	if err != nil {
		l.Fatal(err)
	}
	dir := l.TempDir()
	for p := range all {
		p.Key = key
		if _, err := p.Build(dir); err != nil {
			l.Fatal(err)
		}
	}
	install := append([]string{"-i"}, l.packageFiles(dir)...)
	var plain, with, more pair
	bare := func() (took float64) {
		l.apart("without", func(l *lab) {
			root := l.emptyRoot()
			l.inhabit(root, dir)
			settle()
			took = l.rpm(root, append([]string{"--noplugins"}, install...))
		})
		return took
	}
	hooked := func(s side) (took float64) {
		l.apart(s.name, func(l *lab) {
			root := l.emptyRoot()
			d := l.daemon(s, root)
			root.Macros = s.programs.PluginMacros(d.Socket())
			d.Start()
			l.inhabit(root, dir, filepath.Dir(d.Socket()), s.programs.Dir)
			settle()
			took = l.rpm(root, install)
			l.synced(d, len(install)-1)
			d.Stop()
		})
		return took
	}
	// Each round has one run without the plugin, and one of each side; who comes
	// first changes.
	for i := range runs {
		order := make([]func(), 0, 3)
		var without float64
		var took [2]float64
		order = append(order, func() { without = bare() })
		for _, s := range l.sides {
			order = append(order, func() { took[s.at] = hooked(s) })
		}
		for j := range order {
			order[(i+j)%len(order)]()
		}
		plain[today].add(without)
		for _, s := range l.sides {
			with[s.at].add(took[s.at])
			more[s.at].add(100 * (took[s.at]/without - 1))
		}
	}
	b.most *= 100
	l.report.row(title+", installed by rpm with the plugin, compared with --noplugins in the same round", "%", more, b)
	l.report.row("The same: time with the plugin", "s", with, informs)
	l.report.row("The same: time with --noplugins", "s", plain, informs)
}

func (l *lab) rpm(root *pkgtest.Root, args []string) float64 {
	l.Helper()
	cmd := l.within(root, args...)
	started := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(started)
	if err != nil || len(out) > 0 {
		l.Fatalf("rpm: %v\n%s", err, out)
	}
	return took.Seconds()
}
