// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

type machineKey struct{}

func machineOf(ts *testscript.TestScript) *machine { return ts.Value(machineKey{}).(*machine) }

// scriptKey: "key NAME [import|file]" makes a key, and has rpm import it, or
// puts its certificate into the administrator's directory.
func scriptKey(ts *testscript.TestScript, neg bool, args []string) {
	m := machineOf(ts)
	if s, err := signerOf(args[0]); err == nil {
		print := s.fingerprint()
		ts.Setenv(strings.ToUpper(args[0]), print)
		ts.Setenv(strings.ToUpper(args[0])+"ID", print[len(print)-8:])
	}
	switch {
	case len(args) == 2 && args[1] == "import":
		m.importKey(args[0])
	case len(args) == 2 && args[1] == "file":
		s, err := signerOf(args[0])
		ts.Check(err)
		ts.Check(os.WriteFile(m.In("keys.d", args[0]+".asc"), s.armor, 0o644))
	default:
		ts.Fatalf("usage: key NAME import|file")
	}
}

// scriptRevoked: "revoked NAME fingerprint|certificate|own" says in a file that
// a key is revoked; own is its owner's revocation, in the directory of certificates.
func scriptRevoked(ts *testscript.TestScript, neg bool, args []string) {
	m := machineOf(ts)
	s, err := signerOf(args[0])
	ts.Check(err)
	switch args[1] {
	case "fingerprint":
		ts.Check(os.WriteFile(m.In("revoked.d", args[0]), []byte("# "+args[0]+"\n"+strings.ToUpper(s.fingerprint())+"\n"), 0o644))
	case "certificate":
		ts.Check(os.WriteFile(m.In("revoked.d", args[0]), s.armor, 0o644))
	case "own":
		armor, err := s.revoked()
		ts.Check(err)
		ts.Check(os.WriteFile(m.In("keys.d", args[0]+".asc"), armor, 0o644))
	default:
		ts.Fatalf("unknown kind %q", args[1])
	}
}

// scriptSigner sets SIGNER to the key identifier of the certificate that signs.
func scriptSigner(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv("SIGNER", hex.EncodeToString(machineOf(ts).Certificate().SubjectKeyId))
}

// scriptCRL: "crl own|forged" revokes the certificate that signs lists by a CRL,
// signed by itself or by another key.
func scriptCRL(ts *testscript.TestScript, neg bool, args []string) {
	m := machineOf(ts)
	cert := m.Certificate()
	data, err := os.ReadFile(filepath.Join(m.State(), "signing.key"))
	ts.Check(err)
	block, _ := pem.Decode(data)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	ts.Check(err)
	key := parsed.(*ecdsa.PrivateKey)
	issuer := *cert
	issuer.KeyUsage |= x509.KeyUsageCRLSign
	if args[0] == "forged" {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		ts.Check(err)
		issuer.PublicKey = key.Public()
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: cert.SerialNumber, RevocationTime: time.Now()}},
	}, &issuer, key)
	ts.Check(err)
	ts.Check(os.WriteFile(m.In("revoked.d", args[0]+".crl"), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o644))
}

// scriptPackage: "package NEVRA [option…]", see pkgtest.ParsePackage.
func scriptPackage(ts *testscript.TestScript, neg bool, args []string) {
	machineOf(ts).build(args...)
}

func scriptRPM(ts *testscript.TestScript, neg bool, args []string) {
	runTool(ts, neg, machineOf(ts).RPMCommand(args...), 0)
}

// scriptDigestctl: "digestctl [code N] ARG…" wants exit code N, 0 by default.
func scriptDigestctl(ts *testscript.TestScript, neg bool, args []string) {
	want := 0
	if len(args) > 1 && args[0] == "code" {
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		want, args = n, args[2:]
	}
	cmd := machineOf(ts).Digestctl(args...)
	cmd.Dir = ts.MkAbs(".")
	runTool(ts, neg, cmd, want)
}

func runTool(ts *testscript.TestScript, neg bool, cmd *exec.Cmd, want int) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	ts.Logf("%s%s", stdout.String(), stderr.String())
	ts.Stdout().Write(stdout.Bytes())
	ts.Stderr().Write(stderr.Bytes())
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if neg && code == 0 || !neg && code != want {
		ts.Fatalf("exit code %d", code)
	}
}

// scriptDigestd: "digestd start [NAME=VALUE…] [key = value…]", stop, kill,
// reload, fail; words that begin with "+" are lines of the configuration.
func scriptDigestd(ts *testscript.TestScript, neg bool, args []string) {
	m := machineOf(ts)
	if len(args) == 0 {
		ts.Fatalf("usage: digestd start|stop|kill|reload|fail")
	}
	var env []string
	for _, a := range args[1:] {
		if line, ok := strings.CutPrefix(a, "+"); ok {
			m.Config = append(m.Config, line)
		} else {
			env = append(env, a)
		}
	}
	switch args[0] {
	case "start":
		m.Start(env...)
	case "stop":
		m.Stop()
	case "kill":
		m.Kill()
	case "died":
		m.Wait()
	case "reload":
		m.Prepare()
		m.Signal(unix.SIGHUP)
	case "fail":
		out, err := m.Prepare(env...), error(nil)
		out.Stderr = nil
		var text []byte
		text, err = out.CombinedOutput()
		ts.Stderr().Write(text)
		if err == nil {
			ts.Fatalf("digestd started")
		}
	default:
		ts.Fatalf("unknown command %q", args[0])
	}
}

// scriptLists: "lists NAME…" waits for the list directory to hold exactly these
// lists, and checks that each is whole.
func scriptLists(ts *testscript.TestScript, neg bool, args []string) {
	m := machineOf(ts)
	slices.Sort(args)
	if !pkgtest.Await(func() bool { return slices.Equal(m.Names(), args) }) {
		ts.Fatalf("the list directory has\n  %s", strings.Join(m.Names(), "\n  "))
	}
	// The directory comes first, what the daemon says of it an instant later.
	if m.Running() && !pkgtest.Await(func() bool { return m.Status().Lists.Active == len(args) }) {
		ts.Fatalf("digestd says that %d lists are active", m.Status().Lists.Active)
	}
	m.Wholesome()
}

// scriptLabel: "label PATH [LIST]" compares the label of a file in the root,
// none without LIST.
func scriptLabel(ts *testscript.TestScript, neg bool, args []string) {
	want, got := strings.Join(args[1:], " "), machineOf(ts).Label(args[0])
	if got != want {
		ts.Fatalf("%s has label %q, want %q", args[0], got, want)
	}
}

// scriptLogged: "logged TEXT" waits until the daemon has logged a text; "!
// logged" wants that it has not.
func scriptLogged(ts *testscript.TestScript, neg bool, args []string) {
	m := machineOf(ts)
	has := func() bool { return strings.Contains(m.Log(), args[0]) }
	if neg && has() || !neg && !pkgtest.Await(has) {
		ts.Fatalf("log:\n%s", m.Log())
	}
}
