// SPDX-License-Identifier: Apache-2.0

package neighbours_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel"
)

const imaName = "security.ima"

// signed reports whether a file bears a signature, and lets evmctl say whether it
// is the machine's, of what is in the file now.
func (m *machine) signed(name string) (bears, good bool) {
	m.Helper()
	path := m.Path(name)
	_, err := unix.Lgetxattr(path, imaName, make([]byte, 1024))
	if errors.Is(err, unix.ENODATA) {
		return false, false
	}
	m.OK(err)
	cert := filepath.Join(m.State(), "signing.der")
	out, err := exec.Command("evmctl", "ima_verify", "--key", cert, path).CombinedOutput()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		m.Fatalf("evmctl: %v\n%s", err, out)
	}
	return true, err == nil
}

// wantSigned waits for signatures to be there and good, or gone.
func (m *machine) wantSigned(after string, want bool, names ...string) {
	m.Helper()
	m.Soon(after, func() error {
		for _, name := range names {
			if bears, good := m.signed(name); bears != want || good != want {
				return fmt.Errorf("%s is signed %t, well %t; want %t", name, bears, good, want)
			}
		}
		return nil
	})
}

// Files of active packages have signatures that verify, from the moment at which
// rpm is done with them; they lose them with their list, and all when they are
// switched off.
func TestSignaturesFollowLists(t *testing.T) {
	m := newMachine(t, "ima-signatures = true")
	tool := m.build("tool", "1", map[string]string{"/usr/bin/tool": "one", "/usr/lib/libtool.so.1": "lib"})
	newer := m.build("tool", "2", map[string]string{"/usr/bin/tool": "two", "/usr/lib/libtool.so.1": "lib"})
	other := m.build("other", "1", map[string]string{"/usr/bin/other": "other"})
	early := m.build("early", "1", map[string]string{"/usr/bin/early": "early"})
	m.RPM("-i", "--noplugins", early)
	m.Start()
	m.wantSigned("a package that was there before", true, "/usr/bin/early")

	m.RPM("-i", tool, other)
	for _, name := range []string{"/usr/bin/tool", "/usr/lib/libtool.so.1", "/usr/bin/other"} {
		if bears, good := m.signed(name); !bears || !good {
			t.Errorf("%s, just installed: signed %t, well %t", name, bears, good)
		}
	}
	m.OK(os.WriteFile(m.Path("/usr/bin/other"), []byte("altered"), 0o755))
	if bears, good := m.signed("/usr/bin/other"); !bears || good {
		t.Errorf("an altered file: signed %t, well %t", bears, good)
	}
	m.RPM("-U", newer)
	if bears, good := m.signed("/usr/bin/tool"); !bears || !good {
		t.Errorf("upgraded: signed %t, well %t", bears, good)
	}

	// By a floor.
	m.Must("floor", "set", "tool.noarch", "0:3-1", "--reason", "too old")
	m.wantSigned("a floor above it", false, "/usr/bin/tool", "/usr/lib/libtool.so.1")
	m.Must("floor", "clear", "tool.noarch", "--reason", "was wrong")
	m.wantSigned("the floor gone", true, "/usr/bin/tool", "/usr/lib/libtool.so.1")

	// By a new key of the machine.
	m.Must("keys", "rotate", "--reason", "test")
	m.wantSigned("another key", true, "/usr/bin/tool", "/usr/lib/libtool.so.1", "/usr/bin/early")

	// Switched off, while digestd does not run.
	m.Stop()
	m.Config = nil
	m.Start()
	m.wantSigned("switched off", false, "/usr/bin/tool", "/usr/bin/early", "/usr/bin/other")
	m.Stop()
	m.Config = []string{"ima-signatures = true"}
	m.Start()
	m.wantSigned("switched on again", true, "/usr/bin/tool", "/usr/bin/early")
}

// Signatures of version 3 sign what kind of digest they are of, too; a change of the version
// has all files signed anew. That a kernel takes them is shown in integration/vm.
func TestSignaturesOfVersion3(t *testing.T) {
	m := newMachine(t, "ima-signatures = true", "ima-signature-version = 3")
	m.Start()
	m.RPM("-i", m.build("tool", "1", map[string]string{"/usr/bin/tool": "one"}))
	of := func(version uint8) error {
		value := make([]byte, 1024)
		n, err := unix.Lgetxattr(m.Path("/usr/bin/tool"), imaName, value)
		m.OK(err)
		sig, err := kernel.ParseIMASignature(value[:n])
		m.OK(err)
		der, err := os.ReadFile(filepath.Join(m.State(), "signing.der"))
		m.OK(err)
		cert, err := x509.ParseCertificate(der)
		m.OK(err)
		digest := sha256.Sum256([]byte("one"))
		signed := digest[:]
		if version == 3 {
			sum := sha256.Sum256(append([]byte{3, 4}, digest[:]...))
			signed = sum[:]
		}
		if sig.Version != version || sig.Hash != 4 || !ecdsa.VerifyASN1(cert.PublicKey.(*ecdsa.PublicKey), signed, sig.Signature) {
			return fmt.Errorf("it is of version %d, hash %d; want a good one of version %d", sig.Version, sig.Hash, version)
		}
		return nil
	}
	m.OK(of(3))
	for version, config := range []string{2: "ima-signature-version = 2", 3: "ima-signature-version = 3"} {
		if config == "" {
			continue
		}
		m.Stop()
		m.Config = []string{"ima-signatures = true", config}
		m.Start()
		m.Soon(config, func() error { return of(uint8(version)) })
	}
}

// Files that a revoked key vouched for lose their signatures, even if digestd dies between the
// lists and the files.
func TestSignaturesGoWithKey(t *testing.T) {
	m := newMachine(t, "ima-signatures = true")
	m.Start()
	m.RPM("-i", m.build("tool", "1", map[string]string{"/usr/bin/tool": "one"}))
	m.wantSigned("installed", true, "/usr/bin/tool")
	m.Must("keys", "revoke", vendor.Fingerprint(), "--reason", "stolen")
	m.Kill()
	m.Start()
	m.wantSigned("the key revoked", false, "/usr/bin/tool")
	m.Must("keys", "restore", vendor.Fingerprint(), "--reason", "found again")
	m.wantSigned("the key restored", true, "/usr/bin/tool")
}

// Two packages share a path; whose content lies there has its signature, as long
// as either's list is there.
func TestSharedFile(t *testing.T) {
	m := newMachine(t, "ima-signatures = true")
	m.Start()
	m.RPM("-i", m.build("left", "1", map[string]string{"/usr/bin/both": "same"}), m.build("right", "1", map[string]string{"/usr/bin/both": "same"}))
	m.wantSigned("installed", true, "/usr/bin/both")
	m.RPM("-i", "--replacefiles", m.build("third", "1", map[string]string{"/usr/bin/both": "other"}))
	m.wantSigned("replaced by another's", true, "/usr/bin/both")
	m.Must("floor", "set", "third.noarch", "0:2-1", "--reason", "test")
	m.wantSigned("that one's list withheld", false, "/usr/bin/both")
}
