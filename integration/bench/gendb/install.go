// SPDX-License-Identifier: Apache-2.0

package gendb

import (
	"iter"
	"math/rand/v2"

	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// Packages yields packages for rpm to install, of the names, files and proportions
// that a database of shape s has; all their files lie below dir. They are not
// signed, and depend on nothing.
func Packages(s Shape, dir string) iter.Seq[pkgtest.Package] {
	return func(yield func(pkgtest.Package) bool) {
		for n, size := range spread(s) {
			r := rand.New(rand.NewPCG(s.Seed, uint64(n)))
			name, version, release := identify(r, n)
			p := pkgtest.Package{
				Name: name, Version: version, Release: release, Arch: "noarch",
				Files: map[string]string{}, Links: map[string]string{},
			}
			for _, f := range makeFiles(s, name, size, r) {
				switch {
				case f.mode&unix.S_IFMT == unix.S_IFDIR:
					p.Files[dir+f.path()+"/"] = ""
				case f.mode&unix.S_IFMT == unix.S_IFLNK:
					p.Links[dir+f.path()] = f.link
				case f.flags&flagGhost == 0:
					p.Files[dir+f.path()] = string(f.content())
				}
			}
			if !yield(p) {
				return
			}
		}
	}
}
