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

// installation times rpm with and without the plugin: with packages of the
// proportions that the large database has, and with packages so small that what
// comes with each of them counts most.
func (l *lab) installation() {
	const count, below = 500, "/opt"
	shape := gendb.Shape{Packages: count, Files: files / packages * count}
	l.installs(fmt.Sprintf("%d packages of distribution size, %d files, installed by rpm with the plugin, compared with --noplugins", count, shape.Files),
		11, gendb.Packages(shape, below))
	l.installs(fmt.Sprintf("The same with %d packages of 1 to 40 files, each of at most 8 kB", count), 21, smallPackages(count, below))
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

func (l *lab) installs(title string, rounds int, all iter.Seq[pkgtest.Package]) {
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
	var with, without, ratio sample
	plain := func(l *lab) {
		root := l.emptyRoot()
		l.inhabit(root, dir)
		settle()
		without.add(l.rpm(root, append([]string{"--noplugins"}, install...)))
	}
	hooked := func(l *lab) {
		root := l.emptyRoot()
		d := l.daemon(root)
		root.Macros = l.programs.PluginMacros(d.Socket())
		d.Start()
		l.inhabit(root, dir, filepath.Dir(d.Socket()), l.programs.Dir)
		settle()
		with.add(l.rpm(root, install))
		l.synced(d, len(install)-1)
		d.Stop()
	}
	for i := range rounds {
		if i%2 == 0 {
			l.apart("without", plain)
			l.apart("with", hooked)
		} else {
			l.apart("with", hooked)
			l.apart("without", plain)
		}
		ratio.add(with.values[i] / without.values[i])
	}
	more := ratio.median() - 1
	l.report.row("%s", fmt.Sprintf("%+.1f %%: %s instead of %s", 100*more, with.text("s"), without.text("s")),
		"at most +5 %", more <= 0.05, title)
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
