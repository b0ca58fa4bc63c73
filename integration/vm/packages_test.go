// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// bulk is how many packages a large transaction has.
const bulk = 60

var vendor = sync.OnceValues(func() (*pkgtest.Key, error) { return pkgtest.NewKey("vendor", 3072) })

// packages makes a tree with the vendor's certificate and packages in /test:
// hello, restarter and bulk000…, each 1.0 and 2.0. The scriptlet of restarter
// restarts digestd; those of bulk tell the host where in a transaction rpm is.
func packages(t *testing.T) string {
	t.Helper()
	key, err := vendor()
	if err != nil {
		t.Fatal(err)
	}
	tree := t.TempDir()
	dir := filepath.Join(tree, "test", "packages")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "test", "vendor.asc"), key.Armor, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1.0", "2.0"} {
		all := []pkgtest.Package{{
			Name: "hello",
			Files: map[string]string{
				"/usr/bin/hello":        "#!/bin/sh\necho hello, version " + version + "\n",
				"/usr/share/hello/":     "",
				"/usr/share/hello/text": version,
			},
			Post: "/usr/bin/hello >/dev/null && getfattr --absolute-names -d -m security.digest_list /usr/bin/hello >/var/tmp/hello-label",
		}}
		all = append(all, pkgtest.Package{
			Name:  "restarter",
			Files: map[string]string{"/usr/share/restarter/": "", "/usr/share/restarter/text": version + "\n"},
			Post:  "systemctl restart digestd",
		})
		for i := range bulk {
			name := fmt.Sprintf("bulk%03d", i)
			all = append(all, pkgtest.Package{
				Name: name,
				Files: map[string]string{
					"/usr/share/" + name + "/":     "",
					"/usr/share/" + name + "/text": name + " " + version + "\n",
				},
				Post: fmt.Sprintf("echo marker %s-%s >/dev/ttyS1", name, version),
			})
		}
		for _, p := range all {
			p.Version, p.Release, p.Arch, p.Key = version, "1", "noarch", key
			if _, err := p.Build(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	return tree
}
