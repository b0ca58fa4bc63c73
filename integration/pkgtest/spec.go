// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// GPG is a GnuPG home with one secret key, to sign packages as distributions
// do: by rpmsign.
type GPG struct {
	Home  string
	Owner string
	Armor string // path of the certificate
}

// NewGPG makes a home in dir, which must be short enough for a socket in it,
// with a new key ("rsa3072", "ed25519").
func NewGPG(dir, owner, algorithm string) (*GPG, error) {
	g := &GPG{Home: filepath.Join(dir, "gnupg"), Owner: owner, Armor: filepath.Join(dir, "certificate.asc")}
	if err := os.Mkdir(g.Home, 0o700); err != nil {
		return nil, err
	}
	if _, err := g.run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", owner, algorithm, "sign", "never"); err != nil {
		return nil, err
	}
	cert, err := g.run("gpg", "--armor", "--export", owner)
	if err != nil {
		return nil, err
	}
	return g, os.WriteFile(g.Armor, cert, 0o644)
}

// Close ends what GnuPG left running.
func (g *GPG) Close() error {
	_, err := g.run("gpgconf", "--kill", "all")
	return err
}

// Sign adds a signature to package files.
func (g *GPG) Sign(files ...string) error {
	gpg, err := exec.LookPath("gpg") // rpm's default is a path that Debian has not
	if err != nil {
		return err
	}
	_, err = g.run("rpmsign", append([]string{
		"--define", "__gpg " + gpg, "--define", "_gpg_name " + g.Owner, "--define", "_gpg_path " + g.Home, "--addsign",
	}, files...)...)
	return err
}

func (g *GPG) run(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+g.Home, "LC_ALL=C")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", name, err, out, said.String())
	}
	return out, nil
}

// BuildSpec builds the packages of a spec file by rpmbuild, in dir, and returns
// their paths.
func BuildSpec(dir, spec string) ([]string, error) {
	file := filepath.Join(dir, "package.spec")
	if err := os.WriteFile(file, []byte(spec), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("rpmbuild", "-bb", "--nodeps",
		"--define", "_topdir "+dir, "--define", "_rpmdir "+filepath.Join(dir, "RPMS"), "--define", "_rpmfilename %%{NVRA}.rpm",
		"--define", "_build_id_links none", "--define", "__brp_python_bytecompile %{nil}", file)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SOURCE_DATE_EPOCH="+fmt.Sprint(Epoch.Unix()))
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("rpmbuild: %w\n%s", err, out)
	}
	return filepath.Glob(filepath.Join(dir, "RPMS", "*.rpm"))
}
