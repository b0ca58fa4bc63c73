// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/integration/keyringtest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel"
)

// unsigned is a machine whose lists nobody signs.
func unsigned(c *config.Config) { c.Sign = "none" }

// A prepared key signs nothing until it takes over; then it signs every list.
func TestSignerRotate(t *testing.T) {
	m := machine(t)
	first := m.Status().Certificate
	next, err := m.SignerRotate(t.Context(), by, true, "")
	if err != nil || next.SKI == first.SKI || !strings.HasPrefix(next.Path, m.Config.State) {
		t.Fatalf("prepared is %+v, %v", next, err)
	}
	if again, err := m.SignerRotate(t.Context(), by, true, ""); err != nil || again.SKI != next.SKI {
		t.Errorf("prepared again is %+v, %v", again, err)
	}
	if now := m.Status().Certificate; now.SKI != first.SKI {
		t.Errorf("a key that is prepared signs: %+v", now)
	}
	now, err := m.SignerRotate(t.Context(), by, false, "yearly")
	if err != nil || now.SKI != next.SKI || now.Path != first.Path {
		t.Errorf("rotated, %+v signs, %v", now, err)
	}
	for _, when := range []string{"at once", "after a restart"} {
		for list, ski := range signers(t, m) {
			if ski != next.SKI {
				t.Errorf("%s %s is signed by %s, not %s", when, list, ski, next.SKI)
			}
		}
		wantLists(t, m, when, helloList, otherList)
		m.Stop()
		m.Start(t)
	}
	if got := log(t, m, "signer-changed"); len(got) != 1 || got[0] != "signer-changed "+next.SKI+" yearly 7" {
		t.Errorf("the log has %q", got)
	}
	if other, err := m.SignerRotate(t.Context(), by, false, ""); err != nil || other.SKI == next.SKI {
		t.Errorf("with none prepared, %+v signs, %v", other, err)
	}
}

func TestSignerOfUnsignedLists(t *testing.T) {
	m := machine(t, unsigned)
	_, err := m.SignerRotate(t.Context(), by, false, "")
	wantCode(t, "rotated", err, api.InvalidArgument, `sign = "none"`)
	_, err = m.SignerEnrol(t.Context(), by, api.EnrolFile)
	wantCode(t, "enrolled", err, api.InvalidArgument, `sign = "none"`)
}

// The places of the next boot have the certificate that signs and the prepared one.
func TestSignerEnrolInFiles(t *testing.T) {
	m := machine(t)
	next, err := m.SignerRotate(t.Context(), by, true, "")
	if err != nil {
		t.Fatal(err)
	}
	ski := m.Status().Certificate.SKI
	e, err := m.SignerEnrol(t.Context(), by, api.EnrolFile)
	if err != nil || e.Where != api.EnrolFile || len(e.Certificates) != 2 || e.Certificates[0].SKI != ski || e.Certificates[1].SKI != next.SKI || len(e.Files) != 2 {
		t.Fatalf("%+v, %v", e, err)
	}
	for path, from := range map[string]string{"etc/keys/x509_ima.der": e.Files[0], "etc/keys/ima/digestd-" + ski + ".der": e.Files[0], "etc/keys/ima/digestd-" + next.SKI + ".der": e.Files[1]} {
		data, err := os.ReadFile(m.Path(path))
		want, werr := os.ReadFile(from)
		if err != nil || werr != nil || !bytes.Equal(data, want) {
			t.Errorf("%s does not have the certificate in %s (%v, %v)", path, from, err, werr)
		}
		if !slices.Contains(e.Done, "wrote "+m.Path(path)) {
			t.Errorf("done is %q, without %s", e.Done, path)
		}
	}
	if len(e.Left) == 0 {
		t.Error("nothing is left to do")
	}
	if got := m.Events(t, "signer-enrolled"); len(got) != 2 || got[0].Reason != api.EnrolFile || got[0].Key != ski || got[0].UID != by.UID {
		t.Errorf("the log has %+v", got)
	}
	other := m.Path("etc/keys/x509_ima.der")
	if err := os.WriteFile(other, []byte("somebody else's"), 0o644); err != nil {
		t.Fatal(err)
	}
	e, err = m.SignerEnrol(t.Context(), by, api.EnrolFile)
	data, rerr := os.ReadFile(other)
	if err != nil || rerr != nil || string(data) != "somebody else's" || !strings.Contains(strings.Join(e.Left, "\n"), other+" contains another certificate") {
		t.Errorf("%q, left to do is %q, %v, %v", data, e.Left, err, rerr)
	}
}

// A key that takes over is known to the next boot where the one before was.
func TestSignerRotateFollowsEnrolment(t *testing.T) {
	m := machine(t)
	if _, err := m.SignerEnrol(t.Context(), by, api.EnrolFile); err != nil {
		t.Fatal(err)
	}
	now, err := m.SignerRotate(t.Context(), by, false, "")
	if err != nil {
		t.Fatal(err)
	}
	single, err := os.ReadFile(m.Path("etc/keys/x509_ima.der"))
	among, aerr := os.ReadFile(m.Path("etc/keys/ima/digestd-" + now.SKI + ".der"))
	der, derr := os.ReadFile(filepath.Join(m.Config.State, "signing.der"))
	if err = errors.Join(err, aerr, derr); err != nil || !bytes.Equal(single, der) || !bytes.Equal(among, der) {
		t.Errorf("the next boot does not find the certificate that signs now: %v", err)
	}
}

func TestSignerEnrolElsewhere(t *testing.T) {
	m := machine(t)
	e, err := m.SignerEnrol(t.Context(), by, api.EnrolMOK)
	if err != nil || len(e.Done) != 0 || len(e.Left) != 2 || len(e.Files) != 1 || filepath.Dir(e.Files[0]) != m.Config.State {
		t.Errorf("%+v, %v", e, err)
	}
	before := len(m.Events(t))
	for _, where := range []string{"", "IMA", "elsewhere"} {
		_, err = m.SignerEnrol(t.Context(), by, where)
		wantCode(t, where, err, api.InvalidArgument, "cannot enrol a certificate in")
	}
	if got := len(m.Events(t)); got != before {
		t.Errorf("the log has %d entries more", got-before)
	}
}

// The kernel that runs takes the certificate into the keyring for IMA.
func TestSignerEnrolInThisKernel(t *testing.T) {
	needs.Root(t)
	keyringtest.IMA(t)
	m := machine(t)
	if m.Kernel().Keyring != kernel.RingIMAOpen {
		t.Skip("this kernel has .ima, which takes no certificate of a test")
	}
	m.Stop()
	m.SignByRSA(t)
	m.Start(t)
	m.Sync(t)
	e, err := m.SignerEnrol(t.Context(), by, api.EnrolIMA)
	if err != nil || len(e.Done) != 1 || !strings.Contains(e.Done[0], m.Status().Certificate.SKI) || len(e.Left) != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	if k := m.Kernel(); !k.Enrolled {
		t.Errorf("the kernel is %+v", k)
	}
}

// A comparison that somebody asks for says what it came to, and is what was to follow the
// loss of the index.
func TestSync(t *testing.T) {
	m := machine(t)
	m.Enter(t, func(s *ledger.Ledger) {
		s.Problem(grounds.ProblemIndexLost, api.SeverityWarning, "the index was lost", "compare")
	})
	m.Install(t, version(t, "third", "1-1"))
	var stages []string
	r, err := m.Daemon.Sync(t.Context(), by, func(stage string, _, _ int) { stages = append(stages, stage) })
	if err != nil || r.Installed != 3 || r.Published != 1 || r.Kept != 2 || len(stages) == 0 {
		t.Errorf("%+v, %v, %v", r, err, stages)
	}
	if p := m.Problem(grounds.ProblemIndexLost); p.Text != "" {
		t.Errorf("a problem is left: %+v", p)
	}
}
