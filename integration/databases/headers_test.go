// SPDX-License-Identifier: Apache-2.0

package databases_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// spec has every kind of file that a package brings.
const spec = `Name: kinds
Epoch: 2
Version: 1.5
Release: 3
Summary: Files of all kinds
License: Apache-2.0
BuildArch: noarch
%description
Files of all kinds.
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/share/kinds/empty %{buildroot}/etc
printf program >%{buildroot}/usr/bin/kinds
ln %{buildroot}/usr/bin/kinds %{buildroot}/usr/bin/kinds-linked
ln -s kinds %{buildroot}/usr/bin/kinds-symbolic
printf setting >%{buildroot}/etc/kinds.conf
: >%{buildroot}/usr/share/kinds/nothing
printf 'a name' >"%{buildroot}/usr/share/kinds/a name"
%files
%attr(4755,root,root) /usr/bin/kinds
/usr/bin/kinds-linked
/usr/bin/kinds-symbolic
%config(noreplace) /etc/kinds.conf
%ghost /etc/kinds.state
%doc /usr/share/kinds/nothing
%dir /usr/share/kinds/empty
"/usr/share/kinds/a name"
`

// TestHeadersSayWhatRPMSays: name, digest and files of a package are read from the
// database as rpm reads them.
func TestHeadersSayWhatRPMSays(t *testing.T) {
	p := newPlace(t, "sqlite", 3)
	files, err := pkgtest.BuildSpec(t.TempDir(), spec)
	if err != nil {
		t.Fatal(err)
	}
	p.rpm(t, append([]string{"-i"}, files...)...)
	_, headers, err := contents(t, p.database())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range headers {
		n, err := h.NEVRA()
		if err != nil {
			t.Fatal(err)
		}
		if n.Name == "gpg-pubkey" {
			continue
		}
		digest, err := h.Digest()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %d %s %s %s %x", n.Name, n.Epoch, n.Version, n.Release, n.Arch, digest))
		err = h.Files(func(f header.File) error {
			got = append(got, fmt.Sprintf("%s: %o %d %x %s", n.Name, f.Mode, f.Flags, f.Digest, f.Path()))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	want := strings.Split(strings.TrimSpace(p.rpm(t, "-qa", "--qf",
		`%{name} %{epochnum} %{version} %{release} %{arch} %{sha256header}\n[%{=name}: %{filemodes:octal} %{fileflags} %{filedigests} %{filenames}\n]`)), "\n")
	want = slices.DeleteFunc(want, func(l string) bool { return strings.HasPrefix(l, "gpg-pubkey") || l == "" })
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 10 {
		t.Errorf("%d lines (-rpm +header):\n%s", len(got), diff)
	}
}

// TestVersion3 reads a signature of the form that the RHEL and SUSE families have, which
// rpm takes for good as well.
func TestVersion3(t *testing.T) {
	p := newPlace(t, "sqlite", 0)
	pkg := pkgtest.Package{Name: "old", Version: "1", Release: "1", Arch: "noarch", Key: p.key, Version3: true,
		Files: map[string]string{"/opt/old": "old"}}
	file, err := pkg.Build(p.Outside(p.root.Dir))
	if err != nil {
		t.Fatal(err)
	}
	p.rpm(t, "-i", p.Inside(file))
	if said := p.rpm(t, "-q", "--qf", "%{RSAHEADER:pgpsig}", "old"); !strings.Contains(said, "RSA/SHA256") {
		t.Errorf("rpm says %q", said)
	}
	_, headers, err := contents(t, p.database())
	if err != nil {
		t.Fatal(err)
	}
	certs, err := pgp.ParseCerts(p.key.Armor)
	if err != nil {
		t.Fatal(err)
	}
	verified := false
	for _, h := range headers {
		if n, err := h.NEVRA(); err != nil || n.Name != "old" {
			continue
		}
		region, err := h.Immutable()
		if err != nil {
			t.Fatal(err)
		}
		result, err := pgp.NewKeyring(certs...).Verify(region, h.Signatures(), time.Now())
		if err != nil || result.Version != 3 || !result.Created.Equal(pkgtest.Epoch) {
			t.Errorf("%+v, %v", result, err)
		}
		verified = err == nil
	}
	if !verified {
		t.Error("not verified")
	}
}

// certificates returns those that are in a database.
func certificates(t *testing.T, dir string) []*pgp.Cert {
	t.Helper()
	db, err := rpmdb.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	certs, bad, err := rpmdb.Certs(t.Context(), db)
	if err != nil || len(bad) > 0 {
		t.Fatal(bad, err)
	}
	return certs
}

// TestDistributions reads the databases of two container images. One has the
// distribution's key in it.
func TestDistributions(t *testing.T) {
	for name, want := range map[string]struct {
		pkg string
		key bool
	}{
		"cbl-mariner-2.0":   {"bash-0:5.1.8-1.cm2.x86_64", false},
		"amazon-linux-2023": {"openssl-libs-1:3.0.8-1.amzn2023.0.4.x86_64", true},
	} {
		t.Run(name, func(t *testing.T) {
			data := needs.Data(t, name+"-rpmdb.sqlite")
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "rpmdb.sqlite"), data, 0o644); err != nil {
				t.Fatal(err)
			}
			names, headers, err := contents(t, dir)
			if err != nil || len(names) < 100 {
				t.Fatalf("%d packages: %v", len(names), err)
			}
			if !slices.Contains(names, want.pkg) {
				t.Errorf("no %s among %v", want.pkg, names)
			}
			certs := certificates(t, dir)
			files := 0
			for _, h := range headers {
				if n, err := h.NEVRA(); err == nil && n.Name == "gpg-pubkey" {
					continue
				}
				region, err := h.Immutable()
				if err != nil {
					t.Fatal(err)
				}
				var unknown *pgp.UnknownKeyError
				_, err = pgp.NewKeyring(certs...).Verify(region, h.Signatures(), time.Now())
				if want.key && err != nil || !want.key && !errors.As(err, &unknown) {
					t.Errorf("%v", err)
				}
				if err := h.Files(func(header.File) error { files++; return nil }); err != nil {
					t.Error(err)
				}
			}
			if files == 0 {
				t.Error("no files")
			}
		})
	}
}
