// SPDX-License-Identifier: Apache-2.0

package neighbours_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// wide is a package whose files are known by SHA-512.
const wide = `
%global _binary_filedigest_algorithm 10
Name: wide
Version: 1
Release: 1
Summary: wide
License: Apache-2.0
BuildArch: noarch
AutoReqProv: no
%description
wide
%install
mkdir -p %{buildroot}/usr/bin
echo wide >%{buildroot}/usr/bin/wide
echo text >%{buildroot}/usr/bin/text
%files
%attr(755,root,root) /usr/bin/wide
/usr/bin/text
`

// The files of a package are signed and exported for digests of any algorithm, as long as they
// match the package.
func TestOtherDigests(t *testing.T) {
	gpg, err := pkgtest.NewGPG(t.TempDir(), "Wide", "rsa2048")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gpg.Close() })
	files, err := pkgtest.BuildSpec(t.TempDir(), wide)
	if err == nil {
		err = gpg.Sign(files...)
	}
	if err != nil {
		t.Fatal(err)
	}
	trust, policy := filepath.Join(t.TempDir(), "trust"), filepath.Join(t.TempDir(), "policy.json")
	m := newMachine(t, "ima-signatures = true", fmt.Sprintf("fapolicyd = %q", trust), fmt.Sprintf("keylime = %q", policy))
	m.RPM("--import", gpg.Armor)
	m.Start()
	told := func(path string, want bool) func() error {
		return func() error {
			data, err := os.ReadFile(trust)
			if err != nil {
				return err
			}
			if strings.Contains(string(data), path+" 5 "+sum(t, m.Path(path))+"\n") != want {
				return fmt.Errorf("fapolicyd is told %q", data)
			}
			if data, err = os.ReadFile(policy); err != nil {
				return err
			}
			var p struct{ Digests map[string][]string }
			if err := json.Unmarshal(data, &p); err != nil {
				return err
			}
			if got := strings.Join(p.Digests[path], " "); (got == sum(t, m.Path(path))) != want {
				return fmt.Errorf("Keylime is told %q", p.Digests)
			}
			return nil
		}
	}
	m.RPM("-i", files[0])
	if bears, good := m.signed("/usr/bin/wide"); !bears || !good {
		t.Errorf("just installed: signed %t, well %t", bears, good)
	}
	m.Soon("a program", told("/usr/bin/wide", true))
	m.Soon("a text", told("/usr/bin/text", true))
	m.RPM("-U", "--force", "--noplugins", files[0])
	m.wantSigned("installed again without the plugin", true, "/usr/bin/wide")

	// Another content is not vouched for, and its SHA-256 is told to nobody.
	m.OK(os.WriteFile(m.Path("/usr/bin/text"), []byte("evil\n"), 0o644))
	m.Must("sync")
	m.Soon("altered", told("/usr/bin/text", false))
	m.Soon("the other", told("/usr/bin/wide", true))
	m.Must("floor", "set", "wide.noarch", "0:2-1", "--reason", "test")
	m.wantSigned("its list withheld", false, "/usr/bin/wide")
	m.Soon("withheld", told("/usr/bin/wide", false))
}

func sum(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}
