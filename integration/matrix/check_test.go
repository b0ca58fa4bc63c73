// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/integration/pkgtest"
)

// builds are the ways in which a release's rpmbuild makes the packages of spec.
var builds = map[string][]struct {
	name    string
	macros  []string
	rpmsign string // the key, and more arguments
	broken  bool   // its files have digests by which no list can be made
}{
	"host": {
		{"gzip", []string{"_binary_payload w9.gzdio", "_binary_filedigest_algorithm 1"}, "$sign", true}, // MD5
		{"bzip2", []string{"_binary_payload w9.bzdio", "_binary_filedigest_algorithm 10"}, "$sign", false},
	},
	"trixie": {
		{"xz", []string{"_binary_payload w6.xzdio"}, "$sign", false},
		{"none", []string{"_binary_payload w.ufdio", "_binary_filedigest_algorithm 9"}, "$sign", false},
	},
	"forky": {
		{"zstd", []string{"_rpmformat 6"}, "$sign", false},
		{"lzma", []string{"_rpmformat 4", "_binary_payload w6.lzdio"}, "$sign4 --rpmv3", false},
		{"both", []string{"_rpmformat 4", "_binary_payload w3.zstdio"}, "$sign4 --rpmv6", false},
	},
}

// spec has a file of each kind that a package can have.
const spec = `Name: kinds-%{build}
Version: 1
Release: 1
Summary: test
License: none
Source0: source.txt
%global __brp_mangle_shebangs %{nil}
%description
test
%package none
Summary: without files
%description none
test
%package -n ghosts-%{build}
Summary: with a file that is not in it
%description -n ghosts-%{build}
test
%install
d=%{buildroot}/opt/%{name}
mkdir -p $d/empty.d "$d/with blank" $d/%{long}
echo content >$d/file
: >$d/empty
head -c 200000 /dev/zero | tr '\0' x >$d/big
ln -s file $d/link
ln -s /nowhere/at/all $d/dangling
echo hard >$d/hard1
ln $d/hard1 $d/hard2
ln $d/hard1 $d/hard3
echo named >"$d/with blank/naïve %%[x]"
echo conf >$d/conf
echo suid >$d/suid
echo log >$d/log
echo long >$d/%{long}/%{long}
%files
%dir /opt/%{name}
/opt/%{name}/empty.d
/opt/%{name}/file
/opt/%{name}/empty
/opt/%{name}/big
/opt/%{name}/link
/opt/%{name}/dangling
/opt/%{name}/hard*
"/opt/%{name}/with blank"
/opt/%{name}/%{long}
%config(noreplace) /opt/%{name}/conf
%attr(4755,root,root) /opt/%{name}/suid
%ghost /opt/%{name}/log
%files none
%files -n ghosts-%{build}
%ghost /opt/%{name}/log
`

// regular are the regular files of kinds whose content is in it, links of them the names that
// share the content of another one.
const regular, links = 10, 2

// signers are who signs the packages of a release, by its own programs.
var signers = map[string]string{
	"host":   gpgSigner("rsa2048"),
	"trixie": gpgSigner("ed25519"),
	"forky":  sequoiaSigner("sign", "rfc9580", "ed25519") + sequoiaSigner("sign4", "rfc4880", "nistp256"), // OpenPGP of versions 6 and 4
}

func sequoiaSigner(sign, profile, algorithm string) string {
	return `sq="sq --home $PWD/` + sign + `.home --batch --overwrite"
$sq key generate --own-key --userid ` + sign + ` --profile ` + profile + ` --signing-algorithm ` + algorithm + ` --cannot-encrypt --cannot-authenticate --without-password --rev-cert rev --output key
$sq key import key
$sq key delete --cert-file key --output cert.asc
cat cert.asc >>signer.asc
` + sign + `="--define '_openpgp_sign sq' --define '_sq_path $PWD/` + sign + `.home' --define '_openpgp_sign_id $($sq inspect key | sed -n 's/^ *Fingerprint: //p' | head -n 1)'"
`
}

func gpgSigner(algorithm string) string {
	return `export GNUPGHOME=$PWD/gnupg
mkdir -m 700 gnupg
gpg -q --batch --passphrase '' --quick-generate-key signer ` + algorithm + ` sign never
gpg --armor --export signer >signer.asc
sign="--define '__gpg /usr/bin/gpg' --define '_gpg_path $GNUPGHOME' --define '_gpg_name signer'"
trap 'gpgconf --kill all' EXIT
`
}

// buildKinds has a release build and sign packages, and returns their directory and the
// certificate, as this process calls them.
func buildKinds(t *testing.T, r *release) (dir, cert string) {
	t.Helper()
	inside, outside := r.Scratch(t)
	files := map[string]string{"kinds.spec": strings.ReplaceAll(spec, "%{long}", strings.Repeat("long", 40)), "source.txt": "source\n"}
	script := "set -e\ncd " + inside + "\n" + signers[r.Name]
	for _, b := range builds[r.Name] {
		defines := []string{"_topdir " + inside, "_sourcedir " + inside, "_rpmdir " + inside + "/made", "_srcrpmdir " + inside + "/made", "_rpmfilename %%{NVRA}.rpm", "build " + b.name}
		script += "rpmbuild --quiet -ba --nodeps"
		for _, d := range slices.Concat(defines, b.macros) {
			script += " --define '" + d + "'"
		}
		script += " kinds.spec >/dev/null\neval rpmsign " + b.rpmsign + " --addsign made/*-" + b.name + "*.rpm >/dev/null\n"
	}
	files["make.sh"] = script
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(outside, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := r.Command("sh", filepath.Join(inside, "make.sh"))
	cmd.Env = append(cmd.Env, "HOME="+inside)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build packages: %v\n%s", err, out)
	}
	return filepath.Join(outside, "made"), filepath.Join(outside, "signer.asc")
}

// checkedFile is what check says of one package.
type checkedFile struct {
	api.Check
	File      string
	Compared  int
	Different []struct{ Path, Kind string }
	Error     string
}

// check returns what check says of packages, by the names of their files.
func check(m *pkgtest.Machine, code int, args ...string) map[string]checkedFile {
	m.Helper()
	var doc struct{ Packages []checkedFile }
	if got := m.JSON(&doc, append([]string{"check"}, args...)...); got != code {
		m.Errorf("check exits with %d, want %d", got, code)
	}
	said := map[string]checkedFile{}
	for _, p := range doc.Packages {
		said[filepath.Base(p.File)] = p
	}
	return said
}

// TestCheckEveryPackage: what check says of the packages that each release's rpmbuild makes
// and its rpmsign signs is what rpm and digestd do with them then; and what that rpm takes
// for damaged is so for check.
func TestCheckEveryPackage(t *testing.T) {
	for _, r := range releases {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			c := newCell(t, r, rpm)
			c.initialise()
			dir, cert := buildKinds(t, r)
			made, root := c.outside("made"), filepath.Join(c.dir, "root")
			c.OK(os.CopyFS(made, os.DirFS(dir)))
			c.OK(os.CopyFS(made, os.DirFS(packages)))
			c.OK(os.Remove(filepath.Join(made, "tool-1-1.noarch.rpm"))) // one of its versions comes
			for _, p := range []pkgtest.Package{{Name: "v3", Key: vendor, Version3: true}, {Name: "unsigned"}} {
				p.Version, p.Release, p.Arch, p.Files = "1", "1", "noarch", map[string]string{"/opt/" + p.Name: p.Name}
				_, err := p.Build(made)
				c.OK(err)
			}
			c.Start()
			for name, p := range check(c.Machine, 3, made) {
				if strings.HasPrefix(name, "kinds-") && p.Verdict == api.CheckAllowed {
					t.Errorf("%s is signed by a stranger: %+v", name, p)
				}
			}
			data, err := os.ReadFile(cert)
			c.OK(err)
			c.OK(os.WriteFile(c.outside("signer.asc"), data, 0o644))
			c.must("rpm", "--root", root, "--import", filepath.Join(c.dir, "signer.asc"))
			c.Must("sync")
			c.wantDamaged(filepath.Join(made, "kinds-"+builds[r.Name][len(builds[r.Name])-1].name+"-1-1.x86_64.rpm"))

			said := check(c.Machine, 3, made)
			install := []string{"rpm", "--root", root, "-U", "--nodeps", "--nosignature"}
			for name, p := range said {
				if p.Error != "" || len(p.Different) > 0 {
					t.Errorf("%s: %s %+v", name, p.Error, p.Different)
				}
				if source := strings.HasSuffix(name, ".src.rpm"); source && p.Verdict != api.CheckNeedless {
					t.Errorf("%s: %s, %s", name, p.Verdict, p.Text)
				} else if !source {
					install = append(install, filepath.Join(c.dir, "made", name))
				}
			}
			for _, b := range builds[r.Name] {
				p := said["kinds-"+b.name+"-1-1.x86_64.rpm"]
				if want := !b.broken; p.Compared != regular-links || (p.Verdict == api.CheckAllowed) != want || want && p.Files != regular {
					t.Errorf("%s: %d files compared, %d in the list; %s", b.name, p.Compared, p.Files, p.Text)
				}
			}
			c.must(install...)
			lists := c.Names()
			for name, p := range said {
				if has := slices.Contains(lists, p.List); has != (p.Verdict == api.CheckAllowed) {
					t.Errorf("%s: check says %s (%s), and it has a list: %v", name, p.Verdict, p.Text, has)
				}
			}
		})
	}
}

// wantDamaged wants each of many copies of a package, of which one byte is another or which
// ends early, to be damaged, for rpm and for check.
func (c *cell) wantDamaged(file string) {
	c.Helper()
	const copies = 24
	good, err := os.ReadFile(file)
	c.OK(err)
	c.OK(os.Mkdir(c.outside("damaged"), 0o755))
	const lead, intro = 96, 16
	begin := lead + intro
	begin += bytes.Index(good[begin:], []byte(header.Magic)) // of what is signed
	keys := []string{"rpmkeys", "--root", filepath.Join(c.dir, "root"), "--checksig"}
	for i := range copies {
		at := begin + (len(good)-begin)*i/copies
		data, name := bytes.Clone(good), fmt.Sprintf("%02d-changed.rpm", i)
		if data[at] ^= 0x55; i%4 == 3 {
			data, name = data[:at], fmt.Sprintf("%02d-cut.rpm", i)
		}
		c.OK(os.WriteFile(filepath.Join(c.outside("damaged"), name), data, 0o644))
		keys = append(keys, filepath.Join(c.dir, "damaged", name))
	}
	_, rpmsays := c.run(keys...)
	said := check(c.Machine, 3, c.outside("damaged"))
	for _, file := range keys[len(keys)-copies:] {
		if strings.Contains(rpmsays, file+": digests signatures OK") {
			c.Errorf("rpm says that %s is good", file)
		}
		p, is := said[filepath.Base(file)]
		if good := p.Error == "" && len(p.Different) == 0 && p.Verdict == api.CheckAllowed; !is || good {
			c.Errorf("check says of %s: %+v", file, p)
		}
	}
}
