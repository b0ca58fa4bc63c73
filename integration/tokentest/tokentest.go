// SPDX-License-Identifier: Apache-2.0

// Package tokentest makes tokens and TPMs for tests: SoftHSM's and swtpm's, each
// in a directory of its own, and the program that loads PKCS#11 modules.
package tokentest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Token is a PKCS#11 token in files.
type Token struct {
	Conf   string // what SOFTHSM2_CONF must name
	Module string
	PIN    string // file with the PIN
	Label  string
}

// modules are where distributions put SoftHSM's.
var modules = []string{
	"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so",
	"/usr/lib64/softhsm/libsofthsm.so",
}

// NewToken makes a token in dir. Its module is a name in dir for SoftHSM's, which
// a test may take away.
func NewToken(tb testing.TB, dir, label string) *Token {
	tb.Helper()
	t := &Token{Conf: filepath.Join(dir, "softhsm2.conf"), Module: filepath.Join(dir, "module.so"), PIN: filepath.Join(dir, "pin"), Label: label}
	tokens := filepath.Join(dir, "tokens")
	const pin = "2468"
	err := os.MkdirAll(tokens, 0o700)
	if err == nil {
		err = os.WriteFile(t.Conf, fmt.Appendf(nil, "directories.tokendir = %s\nlog.level = ERROR\n", tokens), 0o644)
	}
	if err == nil {
		err = os.WriteFile(t.PIN, []byte(pin+"\n"), 0o600)
	}
	if err == nil {
		err = t.Insert()
	}
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "13579", "--pin", pin)
	cmd.Env = append(os.Environ(), t.Env())
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("cannot make a token: %v\n%s", err, out)
	}
	return t
}

// Env is the variable by which the module finds the token.
func (t *Token) Env() string { return "SOFTHSM2_CONF=" + t.Conf }

// Where is the place of new keys in the token.
func (t *Token) Where() string {
	return fmt.Sprintf("pkcs11:token=%s;object=digestd?module-path=%s&pin-source=file:%s", t.Label, t.Module, t.PIN)
}

// Remove makes the module unloadable.
func (t *Token) Remove() error { return os.Remove(t.Module) }

// Insert undoes Remove.
func (t *Token) Insert() error {
	for _, m := range modules {
		if _, err := os.Stat(m); err == nil {
			return os.Symlink(m, t.Module)
		}
	}
	return fmt.Errorf("SoftHSM is in none of %s", strings.Join(modules, ", "))
}

// TPM is an emulated TPM on a Unix socket.
type TPM struct {
	Socket string

	tb      testing.TB
	dir     string
	machine bool
	cmd     *exec.Cmd
}

// NewTPM makes a TPM whose state is in dir and starts it.
func NewTPM(tb testing.TB, dir string) *TPM {
	tb.Helper()
	return newTPM(tb, dir, false)
}

// NewMachineTPM makes one for an emulated machine: its socket is the one that
// qemu controls it by.
func NewMachineTPM(tb testing.TB, dir string) *TPM {
	tb.Helper()
	return newTPM(tb, dir, true)
}

func newTPM(tb testing.TB, dir string, machine bool) *TPM {
	tb.Helper()
	// The path of a socket is short; tests' directories are not.
	short, err := os.MkdirTemp("", "tpm")
	if err != nil {
		tb.Fatal(err)
	}
	t := &TPM{Socket: filepath.Join(short, "socket"), tb: tb, dir: dir, machine: machine}
	tb.Cleanup(func() {
		t.Stop()
		os.RemoveAll(short)
	})
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	t.Start()
	return t
}

// Where is the place of new keys in the TPM.
func (t *TPM) Where() string { return "tpm:device=" + t.Socket }

// Start runs the TPM after Stop: the same one, as after a reset.
func (t *TPM) Start() {
	t.tb.Helper()
	if err := t.start(); err != nil {
		t.tb.Fatalf("cannot start swtpm: %v", err)
	}
}

func (t *TPM) start() error {
	os.Remove(t.Socket)
	t.cmd = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+t.dir)
	if t.machine {
		t.cmd.Args = append(t.cmd.Args, "--ctrl", "type=unixio,path="+t.Socket)
	} else {
		t.cmd.Args = append(t.cmd.Args, "--server", "type=unixio,path="+t.Socket, "--flags", "not-need-init,startup-clear")
	}
	var said strings.Builder
	t.cmd.Stderr = &said // read once it has ended
	if err := t.cmd.Start(); err != nil {
		return err
	}
	var err error
	for range 500 {
		var conn net.Conn
		if conn, err = net.Dial("unix", t.Socket); err == nil {
			return conn.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Stop()
	return fmt.Errorf("%w\n%s", err, said.String())
}

// Hang makes the TPM answer nothing any more, until Wake.
func (t *TPM) Hang() { t.cmd.Process.Signal(syscall.SIGSTOP) }

// Wake undoes Hang.
func (t *TPM) Wake() { t.cmd.Process.Signal(syscall.SIGCONT) }

// Stop kills the TPM.
func (t *TPM) Stop() {
	if t.cmd != nil {
		t.cmd.Process.Kill()
		t.cmd.Wait()
		t.cmd = nil
	}
}

// BuildHelper builds digestd-pkcs11 into dir.
func BuildHelper(dir string) error {
	cmd := exec.Command("go", "build", "-o", dir, "github.com/digestd/digestd/cmd/digestd-pkcs11")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build digestd-pkcs11: %w\n%s", err, out)
	}
	return nil
}
