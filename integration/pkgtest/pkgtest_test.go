// SPDX-License-Identifier: Apache-2.0

package pkgtest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/google/go-cmp/cmp"
)

func newRoot(t *testing.T) *pkgtest.Root {
	t.Helper()
	r, err := pkgtest.NewRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newKey(t *testing.T, owner string) *pkgtest.Key {
	t.Helper()
	k, err := pkgtest.NewKey(owner, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyIsTheSameEveryTime(t *testing.T) {
	a, b := newKey(t, "vendor"), newKey(t, "vendor")
	if !bytes.Equal(a.Armor, b.Armor) {
		t.Error("two certificates of one owner differ")
	}
	// The primes of one are searched for, those of the other are known.
	for owner, want := range map[string]string{"fresh": "fa1788a78570fba953526fa473fa58dea40e41eb", "vendor": "e4fd9f847c959a7e03224774115a39590301e414"} {
		if got := newKey(t, owner).Fingerprint(); got != want {
			t.Errorf("%s has the key %s, not %s", owner, got, want)
		}
	}
	if bytes.Equal(a.Armor, newKey(t, "stranger").Armor) {
		t.Error("two owners have one certificate")
	}
	var sigs [2][]byte
	for i, k := range []*pkgtest.Key{a, b} {
		var err error
		if sigs[i], err = k.Sign([]byte("data")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(sigs[0], sigs[1]) {
		t.Error("two signatures of one key over the same data differ")
	}
}

// rpm itself judges keys and packages.
func TestRPMJudgesPackages(t *testing.T) {
	r, vendor := newRoot(t), newKey(t, "vendor")
	if err := r.Import(vendor); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, tc := range []struct {
		name   string
		key    *pkgtest.Key
		status string // of its signature
	}{
		{"signed", vendor, "OK"},
		{"unsigned", nil, ""},
		{"strange", newKey(t, "stranger"), "NOKEY"},
	} {
		p := pkgtest.Package{
			Name: tc.name, Version: "1.0", Release: "2", Arch: "noarch", Epoch: 3, Key: tc.key,
			Files: map[string]string{"/usr/share/" + tc.name + "/": "", "/usr/share/" + tc.name + "/text": tc.name},
		}
		file, err := p.Build(dir)
		if err != nil {
			t.Fatal(err)
		}
		out, _ := r.Command("-Kv", file).CombinedOutput()
		status := ""
		if m := signatureLine.FindSubmatch(out); m != nil {
			status = string(m[1])
		}
		if status != tc.status {
			t.Errorf("rpm finds the signature of %s %q, want %q\n%s", tc.name, status, tc.status, out)
		}
		if err := r.Run("-i", file); err != nil {
			t.Error(err)
		}
	}
	got, err := r.Query("-qa", "--qf", "%{nevra} [%{filenames} ]\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"signed-3:1.0-2.noarch /usr/share/signed /usr/share/signed/text ",
		"strange-3:1.0-2.noarch /usr/share/strange /usr/share/strange/text ",
		"unsigned-3:1.0-2.noarch /usr/share/unsigned /usr/share/unsigned/text ",
	}
	if diff := cmp.Diff(want, got[1:]); diff != "" { // the first is the key
		t.Error(diff)
	}
}

// A certificate of another form is of the same key. A signature of its subkey is good, unless
// the subkey is revoked. rpm is not asked: it takes no certificate in which the signature by
// the subkey is critical, as the library that makes them has it.
func TestKeyForms(t *testing.T) {
	plain := newKey(t, "vendor")
	region := []byte("what is signed")
	signer, err := pkgtest.NewKeyIn(pkgtest.Form{Subkey: true}, "vendor", 2048) // before anything was revoked
	if err != nil {
		t.Fatal(err)
	}
	for form, good := range map[pkgtest.Form]bool{
		{Subkey: true}: true, {Subkey: true, Lifetime: 100 * 365 * 24 * time.Hour}: true, {Subkey: true, Revoked: true}: false,
	} {
		k, err := pkgtest.NewKeyIn(form, "vendor", 2048)
		if err != nil {
			t.Fatal(err)
		}
		if k.Fingerprint() != plain.Fingerprint() || k.Subkey().Fingerprint() == k.Fingerprint() || bytes.Equal(k.Armor, plain.Armor) {
			t.Errorf("%+v: %s with subkey %s", form, k.Fingerprint(), k.Subkey().Fingerprint())
		}
		certs, err := pgp.ParseCerts(k.Armor)
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range map[*pkgtest.Key]bool{signer: true, signer.Subkey(): good} {
			signature, err := key.Sign(append([]byte(header.Magic), region...))
			if err != nil {
				t.Fatal(err)
			}
			_, err = pgp.NewKeyring(certs...).Verify(region, []header.Signature{{Tag: header.TagRSAHeader, Data: signature}}, pkgtest.Epoch.Add(time.Hour))
			if (err == nil) != want {
				t.Errorf("%+v: what %s signed is found %v, want good: %t", form, key.Fingerprint(), err, want)
			}
		}
	}
}

var signatureLine = regexp.MustCompile(`Header V4 RSA/SHA256 Signature, key ID [0-9a-f]+: (\w+)`)

// A package from rpmbuild and rpmsign reaches the list directory of a daemon
// through rpm and its plugin.
func TestDaemonFollowsRPM(t *testing.T) {
	programs, err := pkgtest.BuildPrograms(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	distribution, err := pkgtest.NewGPG(dir, "distribution", "rsa2048")
	if err != nil {
		t.Fatal(err)
	}
	defer distribution.Close()
	files, err := pkgtest.BuildSpec(dir, spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := distribution.Sign(files...); err != nil {
		t.Fatal(err)
	}
	r := newRoot(t)
	d := pkgtest.NewDaemon(t, programs, r, t.TempDir())
	r.Macros = programs.PluginMacros(d.Socket())
	d.Start()
	if err := r.Run("--import", distribution.Armor); err != nil {
		t.Fatal(err)
	}
	if err := r.Run(append([]string{"-i"}, files...)...); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(d.Lists())
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff([]string{"tlv-hello-0:1-2.noarch"}, got); diff != "" {
		t.Error(diff)
	}
	d.Stop()
}

// TestNamesAreThoseOfLists: a test that lists the directory while digestd makes the
// kernel scan it sees lists alone.
func TestNamesAreThoseOfLists(t *testing.T) {
	m := &pkgtest.Machine{TB: t, Daemon: &pkgtest.Daemon{Dir: t.TempDir()}}
	m.OK(os.Mkdir(m.Lists(), 0o755))
	m.OK(os.WriteFile(filepath.Join(m.Lists(), "tlv-hello-0:1-2.noarch"), nil, 0o644))
	poke := filepath.Join(m.Lists(), ".poke")
	m.OK(os.WriteFile(poke, nil, 0o600))
	time.AfterFunc(50*time.Millisecond, func() { _ = os.Remove(poke) })
	m.HasLists("tlv-hello-0:1-2.noarch")
}

const spec = `
Name: hello
Version: 1
Release: 2
Summary: A greeting
License: Apache-2.0
BuildArch: noarch
%description
A greeting.
%install
mkdir -p %{buildroot}/usr/share
echo hello >%{buildroot}/usr/share/hello
%files
/usr/share/hello
`
