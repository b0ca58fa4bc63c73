// SPDX-License-Identifier: Apache-2.0

package build_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/build"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/listdir"
	"github.com/digestd/digestd/store/record"
)

// bench is what lists are made with.
type bench struct {
	build.Builder
	w       build.Workspace
	keyring *pgp.Keyring // trusts the vendor
	dir     *listdir.Dir
}

// newBench is one whose builder makes TLV lists that this machine signs.
func newBench(t *testing.T) *bench {
	t.Helper()
	place := t.TempDir()
	found, err := identity.Files{Dir: place}.Load(t.Context(), slog.New(slog.DiscardHandler), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := listdir.Open(filepath.Join(place, "lists"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	certs, err := pgp.ParseCerts(key(t, "vendor").Armor)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{keyring: pgp.NewKeyring(certs...), dir: dir, w: build.Workspace{Stager: dir.Stager("test")},
		Builder: build.Builder{Format: digestlist.FormatTLV, Sign: ledger.SignPKCS7, Identity: found.Identity}}
}

func key(t *testing.T, owner string) *pkgtest.Key {
	t.Helper()
	k, err := pkgtest.NewKey(owner, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// pkg is a package of files that an owner signed, "" for nobody.
func pkg(t *testing.T, owner string, files map[string]string) gendb.Made {
	t.Helper()
	p := gendb.Small{NEVRA: nevra.NEVRA{Name: "hello", EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"}, Files: files}
	if owner != "" {
		p.Key = key(t, owner)
	}
	made, err := gendb.Make(p)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func parse(t *testing.T, made gendb.Made) *header.Header {
	t.Helper()
	h, err := header.Parse(made.Blob)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var twoFiles = map[string]string{"/usr/bin/hello": "one", "/usr/bin/world": "two"}

func deny(contents ...string) *policy.Denials {
	d := policy.Denial{ID: "d1", Reason: "CVE"}
	for _, c := range contents {
		sum := sha256.Sum256([]byte(c))
		d.Contents = append(d.Contents, policy.Content{Algo: digestlist.SHA256, Digest: string(sum[:])})
	}
	return policy.NewDenials([]policy.Denial{d}, time.Now())
}

// files are those of a list that is staged, by path, with the digests in hexadecimal digits;
// rest is what is appended to its body.
func (b *bench) files(t *testing.T, c *view.Candidate) (files map[string]string, rest []byte, kind digestlist.SigType) {
	t.Helper()
	data, err := os.ReadFile(b.staged(c))
	if err != nil {
		t.Fatal(err)
	}
	if c.File != sha256.Sum256(data) {
		t.Error("the digest of the list is not that of its file")
	}
	body, rest, kind, err := digestlist.SplitSignature(data)
	if err != nil {
		body = data
	}
	if c.Body != sha256.Sum256(body) {
		t.Error("the digest of the body is not that of the list without its signature")
	}
	files = map[string]string{}
	err = digestlist.Walk(b.Format, body, func(_ digestlist.Algo, digest, path []byte) error {
		files[string(path)] = hex.EncodeToString(digest)
		return nil
	})
	if n, cerr := build.CountFiles(b.Format, body); err != nil || cerr != nil || n != len(files) || n != c.Files {
		t.Errorf("%d files are counted in the list of %d, which says %d: %v, %v", n, len(files), c.Files, err, cerr)
	}
	return files, rest, kind
}

func (b *bench) staged(c *view.Candidate) string {
	found := ""
	filepath.WalkDir(filepath.Dir(b.dir.Path()), func(path string, _ os.DirEntry, _ error) error {
		if c.Staged.Name() != "" && filepath.Base(path) == c.Staged.Name() {
			found = path
		}
		return nil
	})
	return found
}

func hexes(files map[string]string) map[string]string {
	all := map[string]string{}
	for path, content := range files {
		all[path] = fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	}
	return all
}

// Every way to sign gives a list of just the package's files, by whom the configuration says.
func TestLists(t *testing.T) {
	for name, test := range map[string]struct {
		format, sign string
		list         string
		check        func(b *bench, made gendb.Made, body, sig []byte, kind digestlist.SigType) error
	}{
		"by the machine": {digestlist.FormatTLV, ledger.SignPKCS7, "tlv-hello-0:1-1.noarch", func(b *bench, _ gendb.Made, body, sig []byte, kind digestlist.SigType) error {
			_, err := digestlist.VerifyPKCS7(body, sig, []*x509.Certificate{b.Identity.Cert})
			if kind != digestlist.SigPKCS7 {
				err = errors.Join(err, fmt.Errorf("signature of kind %d", kind))
			}
			return err
		}},
		"by the package": {digestlist.FormatTLV, ledger.SignPGP, "tlv-hello-0:1-1.noarch", func(_ *bench, made gendb.Made, _, sig []byte, kind digestlist.SigType) error {
			if kind != digestlist.SigPGP || !bytes.Equal(sig, made.Signature) {
				return fmt.Errorf("signature %x of kind %d", sig, kind)
			}
			return nil
		}},
		"by nobody": {digestlist.FormatTLV, ledger.SignNone, "tlv-hello-0:1-1.noarch", func(_ *bench, _ gendb.Made, _, sig []byte, _ digestlist.SigType) error {
			if sig != nil {
				return fmt.Errorf("signature %x", sig)
			}
			return nil
		}},
		"as the package's header": {digestlist.FormatRPM, ledger.SignPKCS7, "rpm-hello-0:1-1.noarch", func(b *bench, made gendb.Made, body, _ []byte, _ digestlist.SigType) error {
			if !bytes.HasSuffix(body, made.Region) {
				return errors.New("the list is not the header's immutable region")
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.Format, b.Sign = test.format, test.sign
			made := pkg(t, "vendor", twoFiles)
			p := b.Recognise(made.Blob, nil, b.keyring, time.Now(), &b.w)
			if p.Err != nil || p.Fresh == nil || p.Fresh.Vouch.Verdict != policy.Allow {
				t.Fatalf("%+v", p)
			}
			if p.Header != made.Digest || p.Fresh.Name != test.list || p.Fresh.Key.Fingerprint != key(t, "vendor").Fingerprint() {
				t.Errorf("list %s of header %s, under %s", p.Fresh.Name, p.Header, p.Fresh.Key.Fingerprint)
			}
			files, sig, kind := b.files(t, p.Fresh)
			if want := hexes(twoFiles); !maps.Equal(files, want) {
				t.Errorf("the list has %v, want %v", files, want)
			}
			if err := test.check(b, made, b.w.Body, sig, kind); err != nil {
				t.Error(err)
			}
			signers := map[string]string{ledger.SignPKCS7: b.Identity.SKI(), ledger.SignPGP: ledger.SignPGP, ledger.SignNone: ledger.SignNone}
			if p.Fresh.Signer != signers[test.sign] || b.Signer() != signers[test.sign] {
				t.Errorf("signed by %s, the builder says by %s", p.Fresh.Signer, b.Signer())
			}
			if want := signers[test.sign]; test.sign == ledger.SignPGP && b.OwnSigner() != b.Identity.SKI() || test.sign != ledger.SignPGP && b.OwnSigner() != want {
				t.Errorf("own lists are signed by %s", b.OwnSigner())
			}
		})
	}
}

// A package without a good signature, or without files to vouch for, gets no list, and the
// reason is known.
func TestPackagesWithoutList(t *testing.T) {
	for name, test := range map[string]struct {
		owner    string
		files    map[string]string
		unsigned policy.Unsigned
		denials  *policy.Denials
		sign     string
		want     policy.Reason // "" if it gets one
		says     string
	}{
		"unsigned":                     {"", twoFiles, policy.UnsignedWithhold, nil, ledger.SignPKCS7, policy.ReasonUnsigned, ""},
		"unsigned, allowed":            {"", twoFiles, policy.UnsignedAllow, nil, ledger.SignPKCS7, "", ""},
		"by a stranger":                {"stranger", twoFiles, policy.UnsignedAllow, nil, ledger.SignPKCS7, policy.ReasonUnknownKey, ""},
		"without files":                {"vendor", nil, policy.UnsignedWithhold, nil, ledger.SignPKCS7, policy.ReasonNoFiles, "no regular files"},
		"all of it denied":             {"vendor", twoFiles, policy.UnsignedWithhold, deny("one", "two"), ledger.SignPKCS7, policy.ReasonDenied, "CVE"},
		"some denied, signed by maker": {"vendor", twoFiles, policy.UnsignedWithhold, deny("one"), ledger.SignPGP, policy.ReasonDenied, "cannot remove a file"},
		"something else denied":        {"vendor", twoFiles, policy.UnsignedWithhold, deny("three"), ledger.SignPGP, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.Unsigned, b.Sign, b.w.Denials = test.unsigned, test.sign, test.denials
			p := b.Recognise(pkg(t, test.owner, test.files).Blob, nil, b.keyring, time.Now(), &b.w)
			if p.Err != nil || p.Fresh == nil {
				t.Fatalf("%+v", p)
			}
			got := p.Fresh.Vouch
			if got.Reason != test.want || !strings.Contains(got.Text, test.says) {
				t.Errorf("%s: %s, want %s that says %q", got.Reason, got.Text, test.want, test.says)
			}
			if staged := b.staged(p.Fresh); (staged != "") != (test.want == "") {
				t.Errorf("staged as %q", staged)
			}
		})
	}
}

// A list leaves out what is denied, says so, and keeps the rest.
func TestListLeavesOutWhatIsDenied(t *testing.T) {
	b := newBench(t)
	whole := b.Recognise(pkg(t, "vendor", twoFiles).Blob, nil, b.keyring, time.Now(), &b.w).Fresh
	b.w.Denials = deny("one", "three")
	c := b.Recognise(pkg(t, "vendor", twoFiles).Blob, nil, b.keyring, time.Now(), &b.w).Fresh
	files, _, _ := b.files(t, c)
	if want := hexes(map[string]string{"/usr/bin/world": "two"}); !maps.Equal(files, want) {
		t.Errorf("the list has %v, want %v", files, want)
	}
	if len(c.Omitted.Paths) != 1 || string(c.Omitted.Paths[0]) != "/usr/bin/hello" || !slices.Equal(c.Omitted.IDs, []string{"d1"}) {
		t.Errorf("it leaves out %q, by %v", c.Omitted.Paths, c.Omitted.IDs)
	}
	if c.Whole != whole.Body || whole.Whole != (record.Digest{}) {
		t.Error("it does not say what it would be if nothing were denied")
	}
	if len(c.Refs.Digests) != 1 || len(c.Refs.Paths) != 2 {
		t.Errorf("it refers to %d contents under %d paths: want what it has, under all paths of the package", len(c.Refs.Digests), len(c.Refs.Paths))
	}
}

// Headers of rpm's database that are no package's cost nothing but their own list.
func TestHeadersWithoutPackage(t *testing.T) {
	b := newBench(t)
	imported, err := gendb.PublicKey(key(t, "vendor"))
	if err != nil {
		t.Fatal(err)
	}
	good := pkg(t, "vendor", twoFiles).Blob
	for name, test := range map[string]struct {
		blob []byte
		says string // of the error, "" for none
	}{
		"a key":   {imported, ""},
		"empty":   {nil, "damaged"},
		"garbage": {[]byte("garbage"), "cannot read its header"},
		"torn":    {good[:len(good)/2], "cannot read its header"},
	} {
		p := b.Recognise(test.blob, nil, b.keyring, time.Now(), &b.w)
		if p.Fresh != nil || (p.Err == nil) != (test.says == "") || p.Err != nil && !strings.Contains(p.Err.Error(), test.says) {
			t.Errorf("%s: %+v, want an error that says %q", name, p, test.says)
		}
	}
}

// The list that stands is not made again, unless lists are called otherwise now.
func TestStandingList(t *testing.T) {
	b := newBench(t)
	made := pkg(t, "vendor", twoFiles)
	entry := func(name string) map[record.Digest]*view.Entry {
		e := &view.Entry{List: record.List{Name: name, Package: nevra.NEVRA{Name: "hello", EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"}}}
		return map[record.Digest]*view.Entry{made.Digest: e}
	}
	for name, test := range map[string]struct {
		stands string
		order  *view.Order
		want   string // the name of what is made, "" for nothing
	}{
		"stands":                 {"tlv-hello-0:1-1.noarch", nil, ""},
		"of another format":      {"rpm-hello-0:1-1.noarch", nil, "tlv-hello-0:1-1.noarch"},
		"has a number now":       {"tlv-hello-0:1-1.noarch", ledger.NewOrder(map[string]uint32{"tlv-hello-0:1-1.noarch": 7}, nil), "7-tlv-hello-0:1-1.noarch"},
		"has the number already": {"7-tlv-hello-0:1-1.noarch", ledger.NewOrder(map[string]uint32{"tlv-hello-0:1-1.noarch": 7}, nil), ""},
	} {
		b.Order = test.order
		got := ""
		p := b.Recognise(made.Blob, entry(test.stands), b.keyring, time.Now(), &b.w)
		if p.Fresh != nil {
			got = p.Fresh.Name
		}
		if p.Err != nil || got != test.want && !strings.HasSuffix(got, test.want) {
			t.Errorf("%s: made %q, want %q: %v", name, got, test.want, p.Err)
		}
	}
}

// A caller that knows the list already is spared the work; the verdict on the package's
// signature it gets all the same.
func TestMakeConsiders(t *testing.T) {
	b := newBench(t)
	made := pkg(t, "vendor", twoFiles)
	h := parse(t, made)
	sigs := h.Signatures()
	refuse := errors.New("not now")
	for name, test := range map[string]struct {
		more bool
		err  error
	}{"nothing to make": {false, nil}, "to be made": {true, nil}, "refused": {false, refuse}} {
		c, err := b.Make(h, sigs, b.keyring, time.Now(), &b.w, func(c *view.Candidate) (bool, error) {
			if c.Header != made.Digest || c.Name != "tlv-hello-0:1-1.noarch" {
				t.Errorf("%s: considered is %s of %s", name, c.Name, c.Header)
			}
			return test.more, test.err
		})
		if !errors.Is(err, test.err) {
			t.Errorf("%s: %v", name, err)
		}
		if staged := b.staged(c) != ""; staged != test.more {
			t.Errorf("%s: a list is staged: %t", name, staged)
		}
		if test.err == nil && (c.Key == nil || c.Vouch.Verdict != policy.Allow || c.Hashed != nil) {
			t.Errorf("%s: vouched for by %v: %+v", name, c.Key, c.Vouch)
		}
		if test.err != nil && c.Key != nil {
			t.Errorf("%s: it was verified all the same", name)
		}
	}
	// Of a package that nobody vouches for the files are known, to say so of them.
	c, err := b.Make(parse(t, pkg(t, "stranger", twoFiles)), parse(t, pkg(t, "stranger", twoFiles)).Signatures(), b.keyring, time.Now(), &b.w,
		func(*view.Candidate) (bool, error) { return true, nil })
	if err != nil || c.Vouch.Reason != policy.ReasonUnknownKey || c.Files != 2 || len(c.Refs.Paths) != 2 || b.staged(c) != "" {
		t.Errorf("of a stranger's package: %+v, %v", c, err)
	}
}

// away is a key that cannot be reached.
type away struct{ signer.Signer }

func (away) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the token is away")
}

// If a list cannot be signed it fails, and nothing unsigned is staged.
func TestListThatCannotBeSigned(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(b *bench)
		owner string
		says  string
	}{
		"key that is away":        {func(b *bench) { b.Identity.Key = away{b.Identity.Key} }, "vendor", "cannot sign list of hello-1-1.noarch"},
		"no signature to pass on": {func(b *bench) { b.Sign, b.Unsigned = ledger.SignPGP, policy.UnsignedAllow }, "", "it has no signature to pass on"},
		"no room to write it":     {func(b *bench) { b.w.Stager = full{} }, "vendor", "cannot write list of hello-1-1.noarch: disk full"},
	} {
		b := newBench(t)
		test.spoil(b)
		p := b.Recognise(pkg(t, test.owner, twoFiles).Blob, nil, b.keyring, time.Now(), &b.w)
		if p.Err == nil || p.Fresh != nil || !strings.Contains(p.Err.Error(), test.says) {
			t.Errorf("%s: %+v, %v", name, p.Fresh, p.Err)
		}
	}
}

// full is a staging directory without room.
type full struct{}

func (full) Write(...[]byte) (record.Staged, error) { return record.Staged{}, errors.New("disk full") }
func (full) Discard(*record.Staged)                 {}

// A list of which nothing is denied is not copied.
func TestOmitNothing(t *testing.T) {
	b := newBench(t)
	b.Recognise(pkg(t, "vendor", twoFiles).Blob, nil, b.keyring, time.Now(), &b.w)
	body, o, err := build.Omit(nil, b.Format, b.w.Body, deny("three"))
	if err != nil || &body[0] != &b.w.Body[0] || len(o.Paths) > 0 {
		t.Errorf("it leaves out %q: %v", o.Paths, err)
	}
	if _, _, err := build.Omit(nil, b.Format, b.w.Body, deny("one", "two")); !errors.Is(err, digestlist.ErrEmpty) {
		t.Errorf("of which all is denied: %v", err)
	}
}

// TestDigestOfTheFile: the digest of a list is that of its file, whatever was hashed in the
// workspace before.
func TestDigestOfTheFile(t *testing.T) {
	b := newBench(t)
	digest := func(body string) (c *view.Candidate) {
		b.w.Body = []byte(body)
		return &view.Candidate{Made: view.Made{Body: sha256.Sum256([]byte(body))}}
	}
	for name, hashed := range map[string]func(){
		"nothing":               func() {},
		"the body":              func() { b.w.Digest() },
		"another body":          func() { b.w.Body = []byte("other"); b.w.Digest(); b.w.Body = []byte("body") },
		"the body, and a list":  func() { b.w.Digest(); b.SignList(digest("body"), &b.w) },
		"an empty body, signed": func() { b.SignList(digest(""), &b.w); b.w.Body = []byte("body") },
	} {
		c := digest("body")
		hashed()
		if err := errors.Join(b.SignList(c, &b.w), b.Stage(c, &b.w)); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(b.staged(c))
		if err != nil || c.File != sha256.Sum256(data) {
			t.Errorf("%s was hashed before: %v, %x", name, err, c.File)
		}
	}
}
