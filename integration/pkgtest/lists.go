// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/digestlist"
)

// Await reports whether something comes true in time.
func Await(done func() bool) bool {
	for end := time.Now().Add(Patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// Until waits for what is said in words to come true.
func (m *Machine) Until(what string, done func() bool) {
	m.Helper()
	if !Await(done) {
		status, _ := m.Digestctl("status").CombinedOutput()
		m.Fatalf("it never came true: %s\nlists are %q\nstatus is\n%s", what, m.Names(), status)
	}
}

// Soon waits until check finds nothing wrong.
func (m *Machine) Soon(what string, check func() error) {
	m.Helper()
	var err error
	if !Await(func() bool { err = check(); return err == nil }) {
		m.Fatalf("%s: %v", what, err)
	}
}

// Names are those of the files in the list directory, sorted. The file by which digestd
// makes the kernel scan the directory is there for an instant only: Names waits for its
// end, for a test that looks in that instant would take it for a list.
func (m *Machine) Names() (names []string) {
	m.Helper()
	Await(func() bool { names = m.NamesIn(m.Lists()); return !slices.Contains(names, ".poke") })
	return names
}

// NamesIn are those of the files in a directory, sorted.
func (m *Machine) NamesIn(dir string) []string {
	m.Helper()
	entries, err := os.ReadDir(dir)
	m.OK(err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// HasLists wants exactly these lists to be there, now.
func (m *Machine) HasLists(want ...string) {
	m.Helper()
	slices.Sort(want)
	if got := m.Names(); !slices.Equal(got, want) {
		m.Fatalf("lists are\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// WantLists waits for exactly these lists to be there.
func (m *Machine) WantLists(want ...string) {
	m.Helper()
	slices.Sort(want)
	if !Await(func() bool { return slices.Equal(m.Names(), want) }) {
		m.HasLists(want...) // which says what is there
	}
}

// Certificate is the one by which the machine signs its lists.
func (m *Machine) Certificate() *x509.Certificate {
	m.Helper()
	data, err := os.ReadFile(filepath.Join(m.State(), "signing.crt"))
	m.OK(err)
	block, _ := pem.Decode(data)
	if block == nil {
		m.Fatal("signing.crt is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	m.OK(err)
	return cert
}

// Body is that of a list, which must be whole and signed by one of these, by the
// machine's own certificate if there are none.
func (m *Machine) Body(list string, by ...*x509.Certificate) []byte {
	m.Helper()
	data, err := os.ReadFile(filepath.Join(m.Lists(), list))
	m.OK(err)
	if len(by) == 0 {
		by = append(by, m.Certificate())
	}
	body, sig, _, err := digestlist.SplitSignature(data)
	if err == nil {
		_, err = digestlist.VerifyPKCS7(body, sig, by)
	}
	if err == nil {
		_, err = digestlist.ParseTLV(body)
	}
	if err != nil {
		m.Fatalf("list %s: %v", list, err)
	}
	return body
}

// Wholesome wants every list to be whole and signed, by the machine itself or one of
// these others, and waits until nothing is left in staging.
func (m *Machine) Wholesome(others ...*x509.Certificate) {
	m.Helper()
	by := append(others, m.Certificate())
	for _, name := range m.Names() {
		m.Body(name, by...)
	}
	staging := m.Lists() + ".staging"
	if !Await(func() bool { return len(m.NamesIn(staging)) == 0 }) {
		m.Fatalf("staging has %q", m.NamesIn(staging))
	}
}

// Installed are the packages in rpm's database, epoch always written, sorted.
func (m *Machine) Installed() []string {
	m.Helper()
	names, err := m.Root.Query("-qa", "--qf", "%{name}-%{epochnum}:%{version}-%{release}.%{arch}\n")
	m.OK(err)
	return slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "gpg-pubkey-") })
}

// Quarantined are the names of files that were set aside.
func (m *Machine) Quarantined() []string { m.Helper(); return m.NamesIn(m.Lists() + ".quarantine") }

// ListOf is the name of the list of a package of release 1 for all architectures.
func ListOf(name, version string) string { return fmt.Sprintf("tlv-%s-0:%s-1.noarch", name, version) }
