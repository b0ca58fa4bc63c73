// SPDX-License-Identifier: Apache-2.0

package own_test

import (
	"github.com/digestd/digestd/integration/pkgtest"
)

// vendor is a key that rpm trusts.
func (m *machine) vendor() *pkgtest.Key {
	m.Helper()
	key, err := pkgtest.NewKey("vendor", 2048)
	m.OK(err)
	m.Trust(key)
	return key
}

// pkg builds a package and returns its file.
func (m *machine) pkg(key *pkgtest.Key, name, version string, files map[string]string) string {
	m.Helper()
	return m.Build(pkgtest.Package{Name: name, Version: version, Key: key, Files: files})
}
