// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/digestd/digestd/digestlist/header"
)

// gnupg makes certificates with this machine's GnuPG: one key, and a keyring for
// each state of it.
type gnupg struct {
	t                     *testing.T
	home, keyring         string
	key, sub, other, algo string
	base, sig             []byte
}

func newGnuPG(t *testing.T, algo string) *gnupg {
	t.Helper()
	// Sockets have short names: t.TempDir would be too deep.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		os.RemoveAll(home)
	})
	g := &gnupg{t: t, home: home, algo: algo}
	g.use("base")
	g.run(january, "", "--quick-generate-key", "vendor", algo, "cert,sign", "never")
	g.key = g.prints("vendor")[0]
	g.run(january, "", "--quick-add-key", g.key, "ed25519", "sign", "never")
	g.run(january, "", "--quick-add-uid", g.key, "second")
	g.sub = g.prints("vendor")[1]
	g.sig = g.run(february, header.Magic+string(region), "--local-user", g.sub+"!", "--detach-sign")
	g.base = g.run(february, "", "--export", g.key)
	return g
}

func (g *gnupg) use(name string) {
	g.keyring = g.home + "/" + strings.ReplaceAll(name, " ", "-") + ".kbx"
}

// run runs gpg at a time, now if that is "".
func (g *gnupg) run(at, stdin string, args ...string) []byte {
	g.t.Helper()
	all := []string{"--homedir", g.home, "--no-default-keyring", "--keyring", g.keyring, "--no-tty", "--quiet", "--yes", "--batch",
		"--pinentry-mode", "loopback", "--passphrase", "", "--no-permission-warning", "--no-auto-check-trustdb", "--trust-model", "always"}
	if at != "" {
		all = append(all, "--faked-system-time", at+"!")
	}
	if args[0] == "--gen-revoke" || args[0] == "--edit-key" {
		all = append(all, "--no-batch", "--command-fd", "0")
	}
	cmd := exec.Command("gpg", append(all, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, said.Bytes())
	}
	return out
}

// prints returns the fingerprints of a key and its subkeys.
func (g *gnupg) prints(user string) (prints []string) {
	for line := range strings.Lines(string(g.run(february, "", "--with-colons", "--list-keys", user))) {
		if f := strings.Split(line, ":"); f[0] == "fpr" {
			prints = append(prints, f[9])
		}
	}
	return prints
}

func (g *gnupg) signature() []byte { return g.sig }
func (g *gnupg) early() []byte     { return g.base }

func (g *gnupg) stranger() []byte {
	g.run(january, "", "--quick-generate-key", "stranger", "ed25519", "cert,sign", "never")
	g.other = g.prints("stranger")[0]
	return g.revocation(g.other, "1")
}

// revocation returns the packet of a revocation for the reason that GnuPG's menu
// has under a number.
func (g *gnupg) revocation(key, reason string) []byte {
	armored := g.run(march, "y\n"+reason+"\nfor a test\n\ny\n", "--gen-revoke", key)
	return g.run(march, string(armored), "--dearmor")
}

func (g *gnupg) make(s state) (cert []byte, says string) {
	g.use(s.name)
	g.run(february, string(g.base), "--import")
	switch reason := map[string]string{"unspecified": "0", "compromised": "1", "superseded": "2", "retired": "3"}[s.name]; {
	case reason != "":
		g.run(march, string(g.revocation(g.key, reason)), "--import")
	case s.name == "expired", s.name == "extended":
		g.run(march, "", "--quick-set-expire", g.key, june)
		if s.name == "extended" {
			g.run(july, "", "--quick-set-expire", g.key, "never")
		}
	case s.name == "subkey expired":
		g.run(march, "", "--quick-set-expire", g.key, june, g.sub)
	case s.name == "subkey revoked":
		g.run(march, "key 1\nrevkey\ny\n1\nlost\n\ny\nsave\n", "--edit-key", g.key)
	case s.name == "user ID revoked":
		g.run(march, "", "--quick-revoke-uid", g.key, "second")
	case s.name == "revocation forged":
		// GnuPG drops what is forged, so that it is not in an export.
		return forge(g.t, g.base, g.stranger(), g.key, g.other), g.says()
	}
	return g.run(july, "", "--export", g.key), g.says()
}

// says is what GnuPG thinks of the key now.
func (g *gnupg) says() string {
	g.t.Helper()
	for line := range strings.Lines(string(g.run("", "", "--with-colons", "--list-keys", g.key))) {
		if f := strings.Split(line, ":"); f[0] == "pub" {
			switch f[1] {
			case "r":
				return "revoked"
			case "e":
				return "expired"
			}
			return "valid"
		}
	}
	g.t.Fatal("gpg does not list the key")
	return ""
}
