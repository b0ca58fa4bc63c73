// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// announcer returns the plugin of rpm that announces transactions on the bus.
// Not every rpm's macros name the directory that its plugins are in.
func (r *release) announcer(t testing.TB) string {
	for _, dir := range []string{"/usr/lib/*-linux-gnu*", "/usr/lib64", "/usr/lib"} {
		found, err := filepath.Glob(r.Outside(filepath.Join(dir, "rpm-plugins", "dbus_announce.so")))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			return r.Inside(found[0])
		}
	}
	t.Fatal("rpm has no plugin dbus_announce")
	return ""
}

// TestHints: a transaction of which nothing else tells is found by a hint. The
// plugin of digestd is not loaded, and there was no database to watch when the
// daemon started.
func TestHints(t *testing.T) {
	hints := map[string]func(c *cell, install []string){
		"rpm announces": func(c *cell, install []string) {
			plugin := c.release.announcer(c.TB)
			c.bus = strings.Replace(c.Bus.Address, strings.TrimSuffix(c.release.Root, "/"), "", 1)
			c.must(append(install, "--define", "__plugindir "+filepath.Dir(plugin), "--define", "__transaction_dbus_announce "+plugin)...)
		},
		"dnf's hook": func(c *cell, install []string) {
			c.must(install...)
			c.must(c.hook(), "changed", filepath.Join(c.dir, "root"))
		},
	}
	for _, r := range releases {
		for name, hint := range hints {
			t.Run(r.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				c := newCell(t, r, rpm)
				c.Start()
				// rpm announces only what it does to the root it sees, so it is the
				// database that is another.
				database := []string{"rpm", "--define", "__transaction_digestd %{nil}", "--dbpath", filepath.Join(c.dir, "root", pkgtest.DBPath)}
				c.must(append(database, "--import", filepath.Join(c.dir, "vendor.asc"))...)
				install := func(pkg string) []string {
					return append(database[:len(database):len(database)], "--justdb", "--nodeps", "-U", filepath.Join(c.dir, "packages", pkg))
				}
				c.must(install("tool-1-1.noarch.rpm")...)
				if got := c.Names(); len(got) > 0 {
					t.Fatalf("lists %q, before any hint", got)
				}
				hint(c, install("other-1-1.noarch.rpm"))
				c.Until("the hint is taken: there are two lists", func() bool { return len(c.Names()) == 2 })
			})
		}
	}
}
