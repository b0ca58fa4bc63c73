// SPDX-License-Identifier: Apache-2.0

package deny_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

const (
	hello = "tlv-hello-0:1-1.noarch"
	twin  = "tlv-twin-0:1-1.noarch"
)

// labelled returns what tells whether an attribute of a file was written since
// then, be it with the same value.
func (m *machine) labelled(path string) func() bool {
	m.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, m.Path(path), unix.IN_ATTRIB)
	}
	m.OK(err)
	m.Cleanup(func() { unix.Close(fd) })
	return func() bool {
		n, _ := unix.Read(fd, make([]byte, 4096))
		return n > 0
	}
}

// A denied content leaves every list at once, whichever package has it, and no
// list that is made later has it, until it is lifted.
func TestContent(t *testing.T) {
	m := newMachine(t)
	file := m.build("hello-1-1.noarch", "/usr/bin/bad=miner", "/usr/bin/good=tool")
	m.RPM("-i", file, m.build("twin-1-1.noarch", "/opt/copy=miner", "/opt/mine=twin"), m.build("only-1-1.noarch", "/opt/only=miner"))
	m.Exits(0, "why", m.Path("/usr/bin/bad"))
	full, counter := m.Body(hello), m.Status().Counter
	bad, good := m.labelled("/usr/bin/bad"), m.labelled("/usr/bin/good")

	out := m.Exits(0, "deny", m.Path("/usr/bin/bad"), "--reason", "found by an incident", "--ticket", "INC-7")
	m.Says(out, "/usr/bin/bad is denied", "INC-7", "3 are withheld or reduced")
	// Nothing is waited for: it has happened.
	m.HasLists(hello, twin)
	m.has(hello, "/usr/bin/good")
	m.has(twin, "/opt/mine")
	if now := m.Status().Counter; now < counter+2 {
		t.Errorf("counter %d after %d: two lists were activated", now, counter)
	}
	if !bad() {
		t.Error("the label of the denied file was not written anew")
	}
	if good() {
		t.Error("the label of another file was written anew")
	}
	m.Says(m.Exits(3, "why", m.Path("/usr/bin/bad")), "denied by root because found by an incident (INC-7)", "hello-1-1.noarch", "digestctl deny lift d-")
	m.Says(m.Exits(3, "why", m.Path("/opt/copy")), "denied by root", "twin-1-1.noarch")
	m.Says(m.Exits(3, "why", m.Path("/opt/only")), "denied by root")
	m.Exits(0, "why", m.Path("/usr/bin/good"))
	m.Says(m.Exits(0, "show", "hello"), "active", "without", "1 file denied by d-")
	m.Says(m.Exits(0, "show", "only"), "withheld", "its list would be empty", "found by an incident")
	m.Says(m.Exits(0, "list"), "1 file is denied and left out")
	m.Says(m.Exits(0, "deny", "list"), "/usr/bin/bad", "found by an incident", "INC-7")

	still := func(after string) {
		t.Helper()
		m.HasLists(hello, twin)
		if got := m.files(hello); !slices.Equal(got, []string{"/usr/bin/good"}) {
			t.Fatalf("after %s the list has %v", after, got)
		}
	}
	m.Exits(0, "sync")
	still("a sync")
	m.RPM("-U", "--replacepkgs", file)
	still("a reinstallation")
	m.RPM("-e", "hello")
	m.Says(m.RPM("-i", file), "leaves out /usr/bin/bad", "found by an incident")
	still("a new installation")
	m.Exits(0, "keys", "rotate", "--reason", "yearly")
	still("a new signing key")
	m.Kill()
	m.Start()
	still("a restart")

	// The old list must not come back by another program.
	data := slices.Clone(full)
	m.OK(os.WriteFile(filepath.Join(m.Lists(), "tlv-intruder-0:1-1.noarch"), data, 0o644))
	m.WantLists(hello, twin)

	m.Says(m.Exits(0, "deny", "lift", m.Path("/usr/bin/bad"), "--reason", "false alarm"), "is no longer denied")
	m.WantLists(hello, "tlv-only-0:1-1.noarch", twin)
	m.Until("the content is back", func() bool { return bytes.Equal(m.Body(hello), full) })
	m.Until("the twin's is back", func() bool { return slices.Equal(m.files(twin), []string{"/opt/copy", "/opt/mine"}) })
	m.vouched("/usr/bin/bad")
	m.Exits(3, "deny", "lift", m.Path("/usr/bin/bad"), "--reason", "again")
	m.Stop()
}

// Lists of every format and signature leave out what is denied, or go.
func TestFormats(t *testing.T) {
	miner := sum("miner")
	for _, tc := range []struct {
		name   string
		config []string
		list   string // "" if none is left
	}{
		{"rpm", []string{`format = "rpm"`}, "rpm-hello-0:1-1.noarch"},
		{"unsigned", []string{`sign = "none"`}, hello},
		{"by its maker", []string{`format = "rpm"`, `sign = "pgp"`}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, tc.config...)
			m.RPM("-i", m.build("hello-1-1.noarch", "/usr/bin/bad=miner", "/usr/bin/good=tool"))
			m.Exits(0, "why", m.Path("/usr/bin/bad"))
			m.Exits(0, "deny", "sha256:"+miner, "--reason", "test")
			check := func() {
				t.Helper()
				m.Exits(3, "why", m.Path("/usr/bin/bad"))
				if tc.list == "" {
					m.HasLists()
					m.Says(m.Exits(0, "list"), "withheld", "denied by root")
					return
				}
				m.HasLists(tc.list)
				m.Exits(0, "why", m.Path("/usr/bin/good"))
				data, err := os.ReadFile(filepath.Join(m.Lists(), tc.list))
				if err != nil {
					t.Fatal(err)
				}
				raw := sha256.Sum256([]byte("miner"))
				if bytes.Contains(data, raw[:]) || strings.Contains(string(data), miner) {
					t.Error("the list has the digest still")
				}
			}
			check()
			m.Exits(0, "sync")
			check()
			m.Kill()
			m.Start()
			check()
			m.Exits(0, "deny", "lift", miner, "--reason", "test")
			m.vouched("/usr/bin/bad")
			m.Stop()
		})
	}
}

// sum is the SHA-256 of a content, in digits.
func sum(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }

// Digests of every algorithm that lists are made with are denied by one word.
func TestAlgorithms(t *testing.T) {
	for id, algo := range map[string]string{"9": "sha384", "10": "sha512"} {
		t.Run(algo, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, `unsigned = "allow"`)
			files, err := pkgtest.BuildSpec(t.TempDir(), "%global _binary_filedigest_algorithm "+id+"\n"+wideSpec)
			if err != nil {
				t.Fatal(err)
			}
			m.RPM(append([]string{"-i"}, files...)...)
			m.Says(m.Exits(0, "why", m.Path("/opt/bad")), algo+":")
			m.Exits(0, "deny", m.Path("/opt/bad"), "--reason", "test")
			m.has("tlv-wide-0:1-1.noarch", "/opt/good")
			m.Says(m.Exits(3, "why", m.Path("/opt/bad")), "denied by root")
			m.Stop()
		})
	}
}

const wideSpec = `
Name: wide
Version: 1
Release: 1
Summary: Digests of another algorithm
License: Apache-2.0
BuildArch: noarch
%description
Digests of another algorithm.
%install
mkdir -p %{buildroot}/opt
echo -n wide-miner >%{buildroot}/opt/bad
echo -n wide-tool >%{buildroot}/opt/good
%files
/opt/bad
/opt/good
`
