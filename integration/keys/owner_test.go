// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// owner is somebody who signs packages with a key in GnuPG, and revokes it.
type owner struct {
	fingerprint string
	cert        string   // path of the certificate
	revoked     string   // path of the certificate with its owner's revocation
	packages    []string // paths: hello, then later
	err         error
}

// vendor's key is as GnuPG makes it, its packages are signed by rpmsign.
var vendor = sync.OnceValue(func() (o owner) {
	o.err = o.make(programs.Dir)
	return o
})

func theVendor(t testing.TB) owner {
	t.Helper()
	o := vendor()
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o
}

func (o *owner) make(dir string) error {
	g, err := pkgtest.NewGPG(dir, "vendor", "rsa3072")
	if err != nil {
		return err
	}
	defer g.Close()
	for _, name := range []string{"hello", "later"} {
		p := pkgtest.Package{Name: name, Version: "1", Release: "1", Arch: "noarch", Files: map[string]string{"/opt/" + name: name}}
		file, err := p.Build(dir)
		if err != nil {
			return err
		}
		o.packages = append(o.packages, file)
	}
	if err := g.Sign(o.packages...); err != nil {
		return err
	}
	data, err := os.ReadFile(g.Armor)
	if err != nil {
		return err
	}
	certs, err := pgp.ParseCerts(data)
	if err != nil {
		return err
	}
	o.cert, o.fingerprint = g.Armor, certs[0].Fingerprint
	o.revoked = filepath.Join(dir, "revoked.asc")
	return o.revoke(g)
}

// revoke uses the revocation that GnuPG keeps ready for every key, in which it
// put a colon so that nobody imports it by accident.
func (o *owner) revoke(g *pkgtest.GPG) error {
	data, err := os.ReadFile(filepath.Join(g.Home, "openpgp-revocs.d", strings.ToUpper(o.fingerprint)+".rev"))
	if err != nil {
		return err
	}
	cmd := exec.Command("gpg", "--homedir", g.Home, "--batch", "--quiet", "--import")
	cmd.Stdin = strings.NewReader(strings.Replace(string(data), ":-----BEGIN", "-----BEGIN", 1))
	if err := cmd.Run(); err != nil {
		return err
	}
	out, err := exec.Command("gpg", "--homedir", g.Home, "--batch", "--armor", "--export").Output()
	if err != nil {
		return err
	}
	return os.WriteFile(o.revoked, out, 0o644)
}
