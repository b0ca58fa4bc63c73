// SPDX-License-Identifier: Apache-2.0

package deny_test

import (
	"os"
	"path/filepath"
	"testing"
)

const updateinfo = `<?xml version="1.0" encoding="UTF-8"?>
<updates>
<update from="security@vendor.example" type="security"><id>VSA-2026:0001</id><severity>Important</severity>
<references><reference id="CVE-2026-1234" type="cve"/></references>
<pkglist><collection>
<package name="hello" epoch="0" version="1" release="2" arch="noarch"/>
<package name="other" epoch="0" version="1" release="1" arch="noarch"/>
<package name="never" epoch="0" version="9" release="9" arch="noarch"/>
</collection></pkglist></update>
<update type="enhancement"><id>VEA-2026:0002</id>
<pkglist><collection><package name="other" epoch="0" version="3" release="1" arch="noarch"/></collection></pkglist></update>
</updates>
`

// Advisories become floors: what they mend loses its list until it is updated,
// and does not come back.
func TestAdvisories(t *testing.T) {
	m := newMachine(t)
	one := m.build("hello-1-1.noarch", "/usr/bin/hello=1")
	m.RPM("-i", one, m.build("other-1-1.noarch", "/opt/other=1"), m.build("third-1-1.noarch", "/opt/third=1"))
	file := filepath.Join(t.TempDir(), "updateinfo.xml")
	m.OK(os.WriteFile(file, []byte(updateinfo), 0o644))
	m.Says(m.Exits(0, "advisories", "import", "--dry-run", file), "hello.noarch", "loses its list", "CVE-2026-1234", "2 floors to set, 1 list to lose")
	m.Says(m.Exits(2, "advisories", "import", file), "cannot ask, standard input is not a terminal")
	m.HasLists(hello, "tlv-other-0:1-1.noarch", "tlv-third-0:1-1.noarch")
	m.Says(m.Exits(0, "advisories", "import", "--yes", file), "2 floors are set")
	m.WantLists("tlv-other-0:1-1.noarch", "tlv-third-0:1-1.noarch")
	m.Says(m.Exits(0, "floor", "list"), "VSA-2026:0001: CVE-2026-1234", "0:1-2")
	m.Exits(0, "sync")
	m.RPMFails([]string{"below the floor 1-2"}, "-U", "--replacepkgs", one)
	m.RPM("-U", m.build("hello-1-2.noarch", "/usr/bin/hello=2"))
	m.HasLists("tlv-hello-0:1-2.noarch", "tlv-other-0:1-1.noarch", "tlv-third-0:1-1.noarch")
	m.RPMFails([]string{"below the floor 1-2"}, "-U", "--oldpackage", one)
	m.Says(m.Exits(0, "advisories", "import", "--yes", file), "has a floor as high", "0 floors to set")
	m.Stop()
}
