// SPDX-License-Identifier: Apache-2.0

package own_test

import (
	"github.com/digestd/digestd/integration/pkgtest"
)

// vendor is a key that rpm trusts.
func (m *machine) vendor() *pkgtest.Key {
	m.Helper()
	key, err := pkgtest.NewKey("vendor", 2048)
	if err == nil {
		err = m.Root.Import(key)
	}
	if err != nil {
		m.Fatal(err)
	}
	return key
}

// pkg builds a package and returns its file.
func (m *machine) pkg(key *pkgtest.Key, name, version string, files map[string]string) string {
	m.Helper()
	p := pkgtest.Package{Name: name, Version: version, Release: "1", Arch: "noarch", Key: key, Files: files}
	file, err := p.Build(m.TempDir())
	if err != nil {
		m.Fatal(err)
	}
	return file
}

// install installs or upgrades packages by rpm.
func (m *machine) install(files ...string) {
	m.Helper()
	if err := m.Root.Run(append([]string{"-U"}, files...)...); err != nil {
		m.Fatal(err)
	}
}
