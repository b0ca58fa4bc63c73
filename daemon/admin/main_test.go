// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/integration/bench/gendb"
)

const (
	helloList = "tlv-hello-0:1-1.noarch"
	otherList = "tlv-other-0:1-1.noarch"
)

// by is the administrator who acts.
var by = api.Actor{UID: 7, PID: 8, Sender: ":1.1"}

// machine has two packages that two vendors signed.
func machine(t *testing.T, set ...func(*config.Config)) *daemontest.Machine {
	t.Helper()
	m := daemontest.New(t, append([]func(*config.Config){func(c *config.Config) { c.Unsigned = "withhold" }}, set...)...)
	hello := daemontest.Package(t, "hello", "vendor", map[string]string{"/usr/bin/hello": "one", "/usr/bin/hi": "two"})
	other := daemontest.Package(t, "other", "another", map[string]string{"/usr/bin/other": "three"})
	m.Import(t, hello.Key, other.Key)
	m.Install(t, hello, other)
	m.Sync(t)
	return m
}

// version is a package of one file at that EVR, which the vendor signed.
func version(t *testing.T, name, evr string) gendb.Small {
	t.Helper()
	p := daemontest.Package(t, name, "vendor", map[string]string{"/usr/bin/" + name: evr})
	var err error
	if p.NEVRA.EVR, err = nevra.ParseEVR(evr); err != nil {
		t.Fatal(err)
	}
	return p
}

// digest is the SHA-256 of a content, as an administrator gives it.
func digest(content string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))) }

// fingerprint is that of the key of an owner.
func fingerprint(t *testing.T, owner string) string {
	t.Helper()
	return daemontest.Key(t, owner).Fingerprint()
}

// wantCode fails the test if an act was not answered so.
func wantCode(t *testing.T, what string, err error, want api.Code, says string) {
	t.Helper()
	if got := daemontest.Code(err); got != want || err != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %q (%v), want %q: %s", what, got, err, want, says)
	}
}

// wantLists fails the test if the directory has other lists.
func wantLists(t *testing.T, m *daemontest.Machine, when string, want ...string) {
	t.Helper()
	if got := m.Names(t); !slices.Equal(got, want) {
		t.Errorf("%s the directory has %v, want %v", when, got, want)
	}
}

// log are the entries of some kinds, each as kind, package, text and user.
func log(t *testing.T, m *daemontest.Machine, kinds ...string) (texts []string) {
	t.Helper()
	for _, e := range m.Events(t, kinds...) {
		texts = append(texts, strings.TrimSpace(fmt.Sprintf("%s %s %s %d", e.Kind, e.Package+e.Key, e.Text, e.UID)))
	}
	return texts
}

// signers are the subject key identifiers by which lists in the directory are signed; a
// list that its certificate does not vouch for fails the test.
func signers(t *testing.T, m *daemontest.Machine) map[string]string {
	t.Helper()
	cert, err := identity.ReadCertificate(m.Status().Certificate.Path)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, name := range m.Names(t) {
		data, err := os.ReadFile(filepath.Join(m.Config.Lists, name))
		if err != nil {
			t.Fatal(err)
		}
		body, sig, _, err := digestlist.SplitSignature(data)
		if err == nil {
			_, err = digestlist.VerifyPKCS7(body, sig, []*x509.Certificate{cert})
		}
		if err != nil {
			t.Errorf("%s is not signed by the certificate of now: %v", name, err)
		}
		found[name] = fmt.Sprintf("%x", cert.SubjectKeyId)
	}
	return found
}
