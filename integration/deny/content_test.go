// SPDX-License-Identifier: Apache-2.0

package deny_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

const (
	hello = "tlv-hello-0:1-1.noarch"
	twin  = "tlv-twin-0:1-1.noarch"
)

func (m *machine) certificates() (certs []*x509.Certificate) {
	m.Helper()
	data, err := os.ReadFile(filepath.Join(m.State(), "signing.crt"))
	if err != nil {
		m.Fatal(err)
	}
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		m.Fatal(err)
	}
	return append(certs, cert)
}

func (m *machine) status() (st api.Status) {
	m.Helper()
	if err := json.Unmarshal([]byte(m.ctl(0, "status", "--json")), &st); err != nil {
		m.Fatal(err)
	}
	return st
}

// labelled returns what tells whether an attribute of a file was written since
// then, be it with the same value.
func (m *machine) labelled(path string) func() bool {
	m.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, m.path(path), unix.IN_ATTRIB)
	}
	if err != nil {
		m.Fatal(err)
	}
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
	m.rpm("-i", file, m.build("twin-1-1.noarch", "/opt/copy=miner", "/opt/mine=twin"), m.build("only-1-1.noarch", "/opt/only=miner"))
	m.ctl(0, "why", m.path("/usr/bin/bad"))
	full, counter := m.body(hello), m.status().Counter
	bad, good := m.labelled("/usr/bin/bad"), m.labelled("/usr/bin/good")

	out := m.ctl(0, "deny", m.path("/usr/bin/bad"), "--reason", "found by an incident", "--ticket", "INC-7")
	m.mustSay(out, "/usr/bin/bad is denied", "INC-7", "3 are withheld or without it now")
	// Nothing is waited for: it has happened.
	m.lists(hello, twin)
	m.has(hello, "/usr/bin/good")
	m.has(twin, "/opt/mine")
	if now := m.status().Counter; now < counter+2 {
		t.Errorf("counter %d after %d: two lists were activated", now, counter)
	}
	if !bad() {
		t.Error("the label of the denied file was not written anew")
	}
	if good() {
		t.Error("the label of another file was written anew")
	}
	m.mustSay(m.ctl(3, "why", m.path("/usr/bin/bad")), "denied by root because found by an incident (INC-7)", "hello-1-1.noarch", "digestctl deny lift d-")
	m.mustSay(m.ctl(3, "why", m.path("/opt/copy")), "denied by root", "twin-1-1.noarch")
	m.mustSay(m.ctl(3, "why", m.path("/opt/only")), "denied by root")
	m.ctl(0, "why", m.path("/usr/bin/good"))
	m.mustSay(m.ctl(0, "show", "hello"), "active", "without", "1 file denied by d-")
	m.mustSay(m.ctl(0, "show", "only"), "withheld", "its list would be empty", "found by an incident")
	m.mustSay(m.ctl(0, "list"), "1 file is denied and left out")
	m.mustSay(m.ctl(0, "deny", "list"), "/usr/bin/bad", "found by an incident", "INC-7")

	still := func(after string) {
		t.Helper()
		m.lists(hello, twin)
		if got := m.files(hello); !slices.Equal(got, []string{"/usr/bin/good"}) {
			t.Fatalf("after %s the list has %v", after, got)
		}
	}
	m.ctl(0, "sync")
	still("a sync")
	m.rpm("-U", "--replacepkgs", file)
	still("a reinstallation")
	m.rpm("-e", "hello")
	m.mustSay(m.rpm("-i", file), "leaves out /usr/bin/bad", "found by an incident")
	still("a new installation")
	m.ctl(0, "keys", "rotate", "--reason", "yearly")
	still("a new signing key")
	m.Kill()
	m.Start()
	still("a restart")

	// The old list must not come back by another hand.
	data := slices.Clone(full)
	if err := os.WriteFile(filepath.Join(m.Lists(), "tlv-intruder-0:1-1.noarch"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	m.returns(hello, twin)

	m.mustSay(m.ctl(0, "deny", "lift", m.path("/usr/bin/bad"), "--reason", "false alarm"), "is not denied any more")
	m.returns(hello, "tlv-only-0:1-1.noarch", twin)
	m.until("the content is back", func() bool { return bytes.Equal(m.body(hello), full) })
	m.until("the twin's is back", func() bool { return slices.Equal(m.files(twin), []string{"/opt/copy", "/opt/mine"}) })
	m.vouched("/usr/bin/bad")
	m.ctl(3, "deny", "lift", m.path("/usr/bin/bad"), "--reason", "again")
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
			m.rpm("-i", m.build("hello-1-1.noarch", "/usr/bin/bad=miner", "/usr/bin/good=tool"))
			m.ctl(0, "why", m.path("/usr/bin/bad"))
			m.ctl(0, "deny", "sha256:"+miner, "--reason", "test")
			check := func() {
				t.Helper()
				m.ctl(3, "why", m.path("/usr/bin/bad"))
				if tc.list == "" {
					m.lists()
					m.mustSay(m.ctl(0, "list"), "withheld", "denied by root")
					return
				}
				m.lists(tc.list)
				m.ctl(0, "why", m.path("/usr/bin/good"))
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
			m.ctl(0, "sync")
			check()
			m.Kill()
			m.Start()
			check()
			m.ctl(0, "deny", "lift", miner, "--reason", "test")
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
			m.rpm(append([]string{"-i"}, files...)...)
			m.mustSay(m.ctl(0, "why", m.path("/opt/bad")), algo+":")
			m.ctl(0, "deny", m.path("/opt/bad"), "--reason", "test")
			m.has("tlv-wide-0:1-1.noarch", "/opt/good")
			m.mustSay(m.ctl(3, "why", m.path("/opt/bad")), "denied by root")
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
