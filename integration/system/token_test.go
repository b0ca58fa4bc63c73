// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/integration/tokentest"
)

// outside are a token and a TPM in which a machine's key may be.
type outside struct {
	*machine
	token *tokentest.Token
	tpm   *tokentest.TPM
}

// startOutside makes a machine with both, whose keys are made in where; the
// daemon does not run yet.
func startOutside(t *testing.T) *outside {
	t.Helper()
	m := newMachine(t)
	m.importKey("vendor")
	return &outside{m, tokentest.NewToken(t, m.In("token"), "machine"), tokentest.NewTPM(t, m.In("tpm"))}
}

// run restarts the daemon with new keys made in where.
func (o *outside) run(where string) {
	o.Helper()
	if o.Running() {
		o.Stop()
	}
	o.Config = []string{fmt.Sprintf("signing-key = %q\n", where)}
	o.Start(o.token.Env())
}

// install installs a package by rpm, whatever becomes of its list.
func (o *outside) install(name string) {
	o.Helper()
	o.RPM("-U", o.build(name+"-1-1.noarch"))
}

// verified waits for the lists of exactly these packages, and has OpenSSL verify
// every one by the certificate that signs now.
func (o *outside) verified(names ...string) {
	o.Helper()
	var want []string
	for _, n := range names {
		want = append(want, "tlv-"+n+"-0:1-1.noarch")
	}
	o.WantLists(want...)
	o.Wholesome()
	for _, name := range want {
		data := read(o.TB.(*testing.T), o.list(name))
		body, sig, _, err := digestlist.SplitSignature(data)
		o.OK(err)
		dir := o.TempDir()
		for file, content := range map[string][]byte{"body": body, "sig": sig} {
			o.OK(os.WriteFile(filepath.Join(dir, file), content, 0o644))
		}
		cert := filepath.Join(o.State(), "signing.crt")
		cmd := exec.Command("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", filepath.Join(dir, "sig"), "-content", filepath.Join(dir, "body"),
			"-certfile", cert, "-CAfile", cert, "-nointern", "-purpose", "any", "-partial_chain", "-out", "/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			o.Fatalf("openssl does not verify %s: %v\n%s", name, err, out)
		}
	}
}

// keyFile is the key's file; what of it must not be there is checked.
func (o *outside) keyFile(want string) {
	o.Helper()
	info, err := os.Stat(filepath.Join(o.State(), "signing.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		o.Fatalf("signing.key: %v, %v", info, err)
	}
	if text := string(read(o.TB.(*testing.T), filepath.Join(o.State(), "signing.key"))); !strings.HasPrefix(text, want) {
		o.Errorf("signing.key does not begin with %q:\n%s", want, text)
	}
}

// gap watches that a list is there all the time, until stop is called.
func (o *outside) gap(name string) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	path := o.list("tlv-" + name + "-0:1-1.noarch")
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			default:
				if _, err := os.Stat(path); err != nil {
					o.Errorf("the list of %s was away: %v", name, err)
					return
				}
			}
		}
	}()
	return func() { close(end); <-ended }
}

const (
	inFile  = "-----BEGIN PRIVATE KEY-----"
	inTPM   = "-----BEGIN TSS2 PRIVATE KEY-----"
	inToken = "pkcs11:token=machine;object=digestd-"
)

// TestFirstKeyOutside: a machine that never had a key makes its first in a token,
// or in a TPM.
func TestFirstKeyOutside(t *testing.T) {
	for name, test := range map[string]struct {
		where func(*outside) string
		file  string
	}{
		"token": {func(o *outside) string { return o.token.Where() }, inToken},
		"TPM":   {func(o *outside) string { return o.tpm.Where() }, inTPM},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := startOutside(t)
			where := test.where(o)
			o.run(where)
			o.keyFile(test.file)
			o.install("hello")
			o.verified("hello")
			cert := o.Certificate()
			o.Kill()
			o.run("") // which is about new keys only
			o.install("other")
			o.verified("hello", "other")
			if !o.Certificate().Equal(cert) {
				t.Error("a restart changed the certificate")
			}
			if s := o.Status(); len(s.Problems) > 0 {
				t.Errorf("problems: %v", s.Problems)
			}
		})
	}
}

// TestRotationBetweenPlaces: the key moves from place to place, and no list is
// away for a moment.
func TestRotationBetweenPlaces(t *testing.T) {
	t.Parallel()
	o := startOutside(t)
	o.run("")
	o.install("hello")
	o.keyFile(inFile)
	seen := []string{hex.EncodeToString(o.Certificate().SubjectKeyId)}
	for _, step := range []struct{ where, file string }{
		{o.token.Where(), inToken},
		{o.token.Where(), inToken},
		{o.tpm.Where(), inTPM},
		{o.tpm.Where(), inTPM},
		{"", inFile},
	} {
		o.run(step.where)
		stop := o.gap("hello")
		o.Must("keys", "rotate", "--reason", "it moves")
		o.verified("hello")
		stop()
		o.keyFile(step.file)
		skid := hex.EncodeToString(o.Certificate().SubjectKeyId)
		if slices.Contains(seen, skid) {
			t.Errorf("in %s the key %s signs again", step.where, skid)
		}
		seen = append(seen, skid)
		o.Kill()
	}
	o.run("")
	o.verified("hello")
}

// TestTokenAway: while the key cannot be reached packages come and go, lists stay
// that are there, and none is made by another key; when it is back, so is what
// was missing.
func TestTokenAway(t *testing.T) {
	for name, test := range map[string]struct {
		where      func(*outside) string
		gone, back func(*outside)
		says       func(*outside) string
	}{
		"token": {
			func(o *outside) string { return o.token.Where() },
			func(o *outside) { must(o, o.token.Remove()) }, func(o *outside) { must(o, o.token.Insert()) },
			func(o *outside) string { return o.token.Module },
		},
		"TPM": {
			func(o *outside) string { return o.tpm.Where() },
			func(o *outside) { o.tpm.Stop() }, func(o *outside) { o.tpm.Start() },
			func(o *outside) string { return o.tpm.Socket },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := startOutside(t)
			where := test.where(o)
			o.run(where)
			o.install("hello")
			o.install("leaving")
			o.verified("hello", "leaving")

			test.gone(o)
			o.run(where) // it starts all the same, and says what is missing
			o.verified("hello", "leaving")
			o.problem("signing-key", test.says(o))
			o.install("late")
			o.RPM("-e", "leaving")
			o.verified("hello")
			// A package without a list for that reason is not looked at all the time.
			before := o.syncs()
			time.Sleep(4 * time.Second)
			if n := o.syncs() - before; n > 2 {
				t.Errorf("%d comparisons in 4 s, though nothing changed", n)
			}
			if out, err := o.Digestctl("keys", "rotate", "--reason", "test").CombinedOutput(); err == nil || !strings.Contains(string(out), test.says(o)) {
				t.Errorf("a key was made in what is not there: %v\n%s", err, out)
			}
			o.verified("hello")

			test.back(o)
			o.verified("hello", "late") // by itself
			if !pkgtest.Await(func() bool { return len(o.Status().Problems) == 0 }) {
				t.Errorf("problems remain: %v", o.Status().Problems)
			}

			// While it runs, too.
			test.gone(o)
			o.endHelper()
			o.install("later")
			o.problem("signing-key", test.says(o))
			o.verified("hello", "late")
			test.back(o)
			o.Must("sync")
			o.verified("hello", "late", "later")
		})
	}
}

// TestRevokedWhileTokenIsAway: the key that signs is not revoked while none can
// follow it, and is once there is one.
func TestRevokedWhileTokenIsAway(t *testing.T) {
	t.Parallel()
	o := startOutside(t)
	o.run("")
	o.install("hello")
	revoked := hex.EncodeToString(o.Certificate().SubjectKeyId)
	must(o, o.token.Remove())
	o.run(o.token.Where())
	out, err := o.Digestctl("keys", "revoke", revoked, "--reason", "seen elsewhere").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cannot revoke the key that signs lists") {
		t.Errorf("with the token away the revocation ended with %v and said:\n%s", err, out)
	}
	o.verified("hello")
	must(o, o.token.Insert())
	o.Must("keys", "revoke", revoked, "--reason", "seen elsewhere")
	o.install("late")
	o.verified("hello", "late")
	o.keyFile(inToken)
	if revoked == hex.EncodeToString(o.Certificate().SubjectKeyId) {
		t.Error("the certificate is still the revoked one")
	}
}

// TestFirstKeyWithoutToken: there is nothing to serve yet, so it says what is
// missing and ends.
func TestFirstKeyWithoutToken(t *testing.T) {
	t.Parallel()
	o := startOutside(t)
	must(o, o.token.Remove())
	o.Config = []string{fmt.Sprintf("signing-key = %q\n", o.token.Where())}
	cmd := o.Prepare(o.token.Env())
	cmd.Stderr = nil
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cannot load PKCS#11 module: stat "+o.token.Module) || !strings.Contains(string(out), "signing-key") {
		t.Errorf("%v\n%s", err, out)
	}
}

// problem waits until status tells of a problem in these words.
func (o *outside) problem(id, text string) {
	o.Helper()
	has := func() bool {
		for _, p := range o.Status().Problems {
			if p.ID == id && strings.Contains(p.Text, text) {
				return true
			}
		}
		return false
	}
	if !pkgtest.Await(has) {
		o.Fatalf("status does not tell of %s with %q, only %v", id, text, o.Status().Problems)
	}
}

// endHelper kills the digestd-pkcs11 that the daemon runs, if it does.
func (o *outside) endHelper() {
	exec.Command("pkill", "-KILL", "-P", fmt.Sprint(o.PID())).Run()
}

func must(o *outside, err error) {
	o.Helper()
	o.OK(err)
}
