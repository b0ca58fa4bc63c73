// SPDX-License-Identifier: Apache-2.0

// Package keys_test proves what becomes of keys on real parts: certificates made by GnuPG and
// Sequoia in every state that an owner can give them, and kept by rpm 4.18, 4.20 and 6.1 in
// every form that these have. The verdict of rpmdb/pgp on a certificate is compared with that
// of the program that made it; a daemon that runs must notice what rpm does to its keyring.
//
// integration/system tests the lists of packages, and revocations that survive a crash.
package keys_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// release is one whose rpm keeps keys in these ways.
type release struct {
	pkgtest.Release
	rpm      string   // version, its first two numbers
	keyrings []string // values of %_keyring
	deletes  bool     // rpmkeys has --delete
	plugin   string   // path of the plugin, built by the release's own compiler
}

var (
	host   = release{rpm: "4.18", keyrings: []string{"rpmdb", "fs"}}
	trixie = release{rpm: "4.20", keyrings: []string{"rpmdb", "fs"}, deletes: true}
	forky  = release{rpm: "6.1", keyrings: []string{"rpmdb", "fs", "openpgp"}, deletes: true}

	releases = []*release{&host, &trixie, &forky}

	programs pkgtest.Programs
)

func TestMain(m *testing.M) {
	pkgtest.Main(m, func(s *pkgtest.Setup) (err error) {
		if programs, err = pkgtest.BuildPrograms(s.Dir); err != nil {
			return err
		}
		host.Release, trixie.Release, forky.Release = pkgtest.Releases()
		for _, r := range releases {
			dir, outside, err := s.Scratch(r.Release)
			if err == nil {
				err = r.BuildPlugin(dir)
			}
			if err != nil {
				return err
			}
			r.plugin = filepath.Join(outside, "digestd.so")
		}
		return nil
	})
}

// copyFile brings a file into a directory.
func copyFile(from, dir string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, filepath.Base(from)), data, 0o755)
}
