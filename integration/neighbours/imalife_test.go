// SPDX-License-Identifier: Apache-2.0

package neighbours_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// Files are signed, not headers: the same package installed again brings other files,
// with the plugin or without.
func TestReinstalledFilesAreSigned(t *testing.T) {
	m := newMachine(t, "ima-signatures = true")
	m.Start()
	tool := m.build("tool", "1", map[string]string{"/usr/bin/tool": "one"})
	m.RPM("-i", tool)
	m.wantSigned("installed", true, "/usr/bin/tool")
	m.RPM("-U", "--force", "--noplugins", tool)
	m.wantSigned("installed again without the plugin", true, "/usr/bin/tool")
	m.RPM("-e", "--noplugins", "tool")
	m.RPM("-i", "--noplugins", tool)
	m.wantSigned("erased and installed without the plugin", true, "/usr/bin/tool")

	// A change that no comparison notices is corrected on request.
	m.OK(os.WriteFile(m.Path("/usr/bin/new"), []byte("one"), 0o755))
	m.OK(os.Rename(m.Path("/usr/bin/new"), m.Path("/usr/bin/tool")))
	m.Must("sync")
	m.wantSigned("replaced by a copy, then compared", true, "/usr/bin/tool")
}

// A signature goes with the last list that vouches for the file, whichever package has that.
func TestSignatureGoesWithLastList(t *testing.T) {
	m := newMachine(t, "ima-signatures = true")
	m.Start()
	own := pkgtest.Package{Name: "unsigned", Version: "1", Release: "1", Arch: "noarch", Files: map[string]string{"/usr/bin/both": "same"}}
	unsigned, err := own.Build(m.Made)
	m.OK(err)
	signed := m.build("signed", "1", map[string]string{"/usr/bin/both": "same", "/usr/bin/signed": "mine"})
	m.RPM("-i", unsigned)
	m.RPM("-i", signed)
	m.wantSigned("installed", true, "/usr/bin/both", "/usr/bin/signed")
	m.RPM("-e", "signed")
	m.wantSigned("its package erased, another has it", false, "/usr/bin/both")

	// The file stays, and no package has it any more: erased from the database
	// alone, with the plugin, without it, and while digestd does not run.
	m.RPM("-e", "unsigned")
	for _, args := range [][]string{{"-e", "--justdb"}, {"-e", "--justdb", "--noplugins"}} {
		m.RPM("-i", signed)
		m.wantSigned("installed anew", true, "/usr/bin/both", "/usr/bin/signed")
		m.RPM(append(args, "signed")...)
		m.wantSigned("rpm "+strings.Join(args, " "), false, "/usr/bin/both", "/usr/bin/signed")
	}
	m.RPM("-i", signed)
	m.wantSigned("installed once more", true, "/usr/bin/signed")
	m.Stop()
	m.RPM("-e", "--justdb", "signed")
	m.Start()
	m.wantSigned("erased from the database while digestd was away", false, "/usr/bin/both", "/usr/bin/signed")
}

// relocatable is a package that rpm may install elsewhere.
const relocatable = `
Name: moved
Version: 1
Release: 1
Summary: moved
License: Apache-2.0
BuildArch: noarch
AutoReqProv: no
Prefix: /opt/moved
%description
moved
%install
mkdir -p %{buildroot}/opt/moved/bin %{buildroot}/usr/lib/moved
echo moved >%{buildroot}/opt/moved/bin/tool
echo stays >%{buildroot}/usr/lib/moved/helper
%files
%attr(755,root,root) /opt/moved/bin/tool
%attr(755,root,root) /usr/lib/moved/helper
`

// A relocated package's files are signed where they are, and lose their signatures
// there.
func TestRelocatedFilesAreSigned(t *testing.T) {
	gpg, err := pkgtest.NewGPG(t.TempDir(), "Movers", "rsa2048")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gpg.Close() })
	files, err := pkgtest.BuildSpec(t.TempDir(), relocatable)
	if err == nil {
		err = gpg.Sign(files...)
	}
	if err != nil {
		t.Fatal(err)
	}
	trust := filepath.Join(t.TempDir(), "trust")
	m := newMachine(t, "ima-signatures = true", fmt.Sprintf("fapolicyd = %q", trust))
	m.RPM("--import", gpg.Armor)
	m.Start()
	m.RPM("-i", "--prefix", "/srv/moved", files[0])
	m.wantSigned("installed by the plugin", true, "/srv/moved/bin/tool", "/usr/lib/moved/helper")
	m.RPM("-U", "--force", "--noplugins", "--prefix", "/srv/again", files[0])
	m.wantSigned("installed elsewhere without the plugin", true, "/srv/again/bin/tool", "/usr/lib/moved/helper")
	m.Soon("trusted by fapolicyd where it is", func() error {
		data, err := os.ReadFile(trust)
		if err == nil && !strings.Contains(string(data), "/srv/again/bin/tool ") {
			err = fmt.Errorf("its file of trusted files is %q", data)
		}
		return err
	})
	m.Must("floor", "set", "moved.noarch", "0:2-1", "--reason", "test")
	m.wantSigned("its list withheld", false, "/srv/again/bin/tool", "/usr/lib/moved/helper")
	m.Must("floor", "clear", "moved.noarch", "--reason", "test")
	m.wantSigned("its list back", true, "/srv/again/bin/tool", "/usr/lib/moved/helper")
	m.RPM("-e", "--justdb", "--noplugins", "moved")
	m.wantSigned("erased from the database alone", false, "/srv/again/bin/tool", "/usr/lib/moved/helper")
}

// slowKey gives the machine a key that takes milliseconds for a signature.
func (m *machine) slowKey() {
	m.Helper()
	state := m.State()
	m.OK(os.MkdirAll(state, 0o700))
	key, cert := filepath.Join(state, "signing.key"), filepath.Join(state, "signing.crt")
	for _, args := range [][]string{
		{"req", "-x509", "-newkey", "rsa:4096", "-sha256", "-nodes", "-days", "3650", "-subj", "/CN=slow", "-keyout", key, "-out", cert,
			"-addext", "keyUsage=critical,digitalSignature", "-addext", "basicConstraints=critical,CA:FALSE"},
		{"x509", "-in", cert, "-outform", "DER", "-out", filepath.Join(state, "signing.der")},
	} {
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			m.Fatalf("openssl: %v\n%s", err, out)
		}
	}
	m.OK(os.Chmod(key, 0o600))
}

// With a slow key a transaction waits for signatures no longer than the bound for
// all of its packages; the rest is signed when it is over, and what must lose its
// signature meanwhile does not wait for that.
func TestSlowKeySignsTheRestLater(t *testing.T) {
	m := newMachine(t, "ima-signatures = true")
	m.slowKey()
	m.Start()
	const packages, each = 4, 300
	var files []string
	for p := range packages {
		content := map[string]string{}
		for i := range each {
			content[fmt.Sprintf("/opt/p%d/%d", p, i)] = strconv.Itoa(i)
		}
		files = append(files, m.build("p"+strconv.Itoa(p), "1", content))
	}
	first := m.build("first", "1", map[string]string{"/opt/first": "first"})
	m.RPM("-i", first)
	m.wantSigned("a small one", true, "/opt/first")
	signed := func() (n int) {
		out, _ := exec.Command("getfattr", "-R", "--absolute-names", "-n", imaName, m.Path("/opt")).Output()
		return strings.Count(string(out), imaName)
	}
	for _, args := range [][]string{{"-i"}, {"-U", "--force"}} {
		m.RPM(append(args, files...)...)
		n := signed()
		if n >= packages*each+1 {
			t.Fatalf("rpm %s: all were signed at once: the key is too fast for this test", args[0])
		}
		m.Must("floor", "set", "first.noarch", "0:2-1", "--reason", "test")
		m.wantSigned("withheld while others are being signed", false, "/opt/first")
		m.Soon("the rest", func() error {
			if n := signed(); n != packages*each {
				return fmt.Errorf("%d of %d are signed", n, packages*each)
			}
			return nil
		})
		m.Must("floor", "clear", "first.noarch", "--reason", "test")
		m.wantSigned("its list back", true, "/opt/first")
	}
}

// A shared file is bound to whichever of its lists is there, and signed as long as one
// is, in whatever order they go and return.
func TestSharedFileFollowsListsThatReturn(t *testing.T) {
	m := newMachine(t, "ima-signatures = true")
	m.Start()
	same := map[string]string{"/usr/bin/both": "same"}
	m.RPM("-i", m.build("left", "1", same), m.build("right", "1", same))
	bound := func(names ...string) func() error {
		return func() error {
			label, err := pkgtest.Label(m.Path("/usr/bin/both"))
			if err != nil || !slices.ContainsFunc(names, func(name string) bool { return label == pkgtest.ListOf(name, "1") }) {
				return fmt.Errorf("its label is %q, %v", label, err)
			}
			return nil
		}
	}
	away := map[string][2][]string{
		"a floor":  {{"floor", "set", "NAME.noarch", "0:2-1", "--reason", "test"}, {"floor", "clear", "NAME.noarch", "--reason", "test"}},
		"a denial": {{"deny", "NAME.noarch", "--reason", "test"}, {"deny", "lift", "NAME.noarch", "--reason", "test"}},
	}
	for what, act := range away {
		ctl := func(n int, name string) {
			m.Must(strings.Split(strings.ReplaceAll(strings.Join(act[n], " "), "NAME", name), " ")...)
		}
		for _, order := range [][2]string{{"left", "right"}, {"right", "left"}} {
			m.Soon("both are there", bound("left", "right"))
			ctl(0, order[0])
			m.Soon(what+" on "+order[0], bound(order[1]))
			m.wantSigned("one list is left", true, "/usr/bin/both")
			ctl(0, order[1])
			m.wantSigned("no list is left", false, "/usr/bin/both")
			ctl(1, order[0])
			m.Soon(what+" lifted from "+order[0], bound(order[0]))
			m.wantSigned("one list is back", true, "/usr/bin/both")
			ctl(1, order[1])
		}
	}
}
