// SPDX-License-Identifier: Apache-2.0

// Package databases_test reads rpm databases as they are: made here by rpm in
// both formats, also while rpm writes to them, and headers of a distribution.
package databases_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/rpmdb/pgp"
)

var formats = []string{rpmdb.KindSQLite, rpmdb.KindNDB}

// place is a root, and the release whose rpm works on it: Debian 12 has no ndb, its
// successor does.
type place struct {
	pkgtest.Release
	root *pkgtest.Root // as that release sees it
	key  *pkgtest.Key
}

// newPlace makes a root whose database is of that format, with a trusted key and
// packages by it.
func newPlace(t *testing.T, format string, packages int) *place {
	t.Helper()
	p := &place{}
	host, trixie, _ := pkgtest.Releases()
	if p.Release = host; format == rpmdb.KindNDB {
		p.Release = trixie
	}
	dir, outside := p.Scratch(t)
	p.root = &pkgtest.Root{Dir: dir, Macros: []string{"_db_backend " + format}}
	var err error
	if p.key, err = pkgtest.NewKey("databases", 2048); err != nil {
		t.Fatal(err)
	}
	cert := filepath.Join(outside, "key.asc")
	if err := os.WriteFile(cert, p.key.Armor, 0o644); err != nil {
		t.Fatal(err)
	}
	p.rpm(t, "--initdb")
	p.rpm(t, "--import", p.Inside(cert))
	if packages > 0 {
		p.install(t, "p", packages)
	}
	return p
}

// database is its directory, as we call it.
func (p *place) database() string { return p.Outside(p.root.Database()) }

func (p *place) command(args ...string) *exec.Cmd {
	cmd := p.root.Command(args...)
	if p.Root != "/" {
		cmd.Args = slices.DeleteFunc(cmd.Args, func(a string) bool { return a == "--force-debian" }) // unknown there
	}
	p.Enter(cmd)
	return cmd
}

func (p *place) rpm(t *testing.T, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := p.command(args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("rpm %v: %v\n%s", args, err, stderr.String())
	}
	return string(out)
}

// build makes a package and returns its path, as the machine calls it.
func (p *place) build(t *testing.T, name string, size int) string {
	t.Helper()
	pkg := pkgtest.Package{Name: name, Version: "1", Release: "1", Arch: "noarch", Key: p.key,
		Files: map[string]string{"/opt/" + name: strings.Repeat("x", size)}}
	file, err := pkg.Build(p.Outside(p.root.Dir))
	if err != nil {
		t.Fatal(err)
	}
	return p.Inside(file)
}

func (p *place) install(t *testing.T, prefix string, count int) {
	t.Helper()
	args := []string{"-i"}
	for i := range count {
		args = append(args, p.build(t, fmt.Sprintf("%s%d", prefix, i), i))
	}
	p.rpm(t, args...)
}

// contents reads a whole database and checks every header against rpm's own
// digest of it.
func contents(t *testing.T, dir string) (names []string, headers []*header.Header, err error) {
	t.Helper()
	db, err := rpmdb.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err = db.Headers(ctx, func(_ uint32, blob []byte) error {
		h, err := header.Parse(bytes.Clone(blob))
		if err != nil {
			return err
		}
		n, err := h.NEVRA()
		if err != nil {
			return err
		}
		if n.Name != "gpg-pubkey" {
			digest, err := h.Digest()
			if err != nil {
				return err
			}
			stored, err := h.Unsigned().String(273) // SHA256HEADER
			if err != nil || stored != hex.EncodeToString(digest[:]) {
				return fmt.Errorf("%s: digest %x, rpm has %q (%v)", n, digest, stored, err)
			}
		}
		names = append(names, n.Full())
		headers = append(headers, h)
		return nil
	})
	slices.Sort(names)
	return names, headers, err
}

// byRPM is what rpm says is in the database.
func (p *place) byRPM(t *testing.T) []string {
	t.Helper()
	names := strings.Fields(p.rpm(t, "-qa", "--qf", "%{name}-%{epochnum}:%{version}-%{release}.%{arch}\n"))
	for i, n := range names {
		names[i] = strings.TrimSuffix(n, ".(none)")
	}
	slices.Sort(names)
	return names
}

func TestReadsWhatRPMWrote(t *testing.T) {
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, format, 40)
			names, headers, err := contents(t, p.database())
			if want := p.byRPM(t); err != nil || !slices.Equal(names, want) {
				t.Fatalf("read %v (%v), rpm says %v", names, err, want)
			}
			db, err := rpmdb.Open(p.database())
			if err != nil || db.Kind() != format {
				t.Fatalf("%v %v", db, err)
			}
			certs, bad, err := rpmdb.Certs(t.Context(), db)
			if err != nil || len(bad) > 0 || len(certs) != 1 || certs[0].UserID != p.key.Owner+" <"+p.key.Owner+"@example.org>" {
				t.Fatalf("certificates %+v, %v, %v", certs, bad, err)
			}
			ring, verified := pgp.NewKeyring(certs...), 0
			for _, h := range headers {
				if n, _ := h.NEVRA(); n.Name == "gpg-pubkey" {
					continue
				}
				region, err := h.Immutable()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := ring.Verify(region, h.Signatures(), time.Now()); err != nil {
					t.Errorf("%v", err)
				}
				verified++
			}
			if verified != 40 {
				t.Errorf("verified %d headers", verified)
			}
			// By one name, and none of another.
			found := 0
			err = db.Named(t.Context(), "p7", func(uint32, []byte) error { found++; return nil })
			if err != nil || found != 1 {
				t.Errorf("%d packages named p7 (%v)", found, err)
			}
		})
	}
}

// TestLeavesNoTrace: reading changes neither the files nor what lies beside them.
func TestLeavesNoTrace(t *testing.T) {
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, format, 5)
			look := func() (s string) {
				entries, err := os.ReadDir(p.database())
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					info, err := e.Info()
					if err != nil {
						t.Fatal(err)
					}
					// rpm itself leaves these behind, with any content.
					if strings.HasSuffix(e.Name(), "-shm") || strings.HasSuffix(e.Name(), "-wal") && info.Size() == 0 {
						continue
					}
					s += fmt.Sprintln(e.Name(), info.Size(), info.Mode(), info.ModTime())
				}
				return s
			}
			before := look()
			for range 3 {
				if _, _, err := contents(t, p.database()); err != nil {
					t.Fatal(err)
				}
			}
			if after := look(); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
			p.rpm(t, "--verifydb")
		})
	}
}

// TestStampTellsChanges: it moves with what rpm does, and rests when it rests.
func TestStampTellsChanges(t *testing.T) {
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, format, 2)
			db, err := rpmdb.Open(p.database())
			if err != nil {
				t.Fatal(err)
			}
			stamp := func() rpmdb.Stamp {
				s, err := db.Stamp()
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			first := stamp()
			if _, _, err := contents(t, p.database()); err != nil {
				t.Fatal(err)
			}
			if stamp() != first {
				t.Error("reading moved it")
			}
			p.install(t, "more", 1)
			second := stamp()
			if second == first {
				t.Error("an installation did not move it")
			}
			p.rpm(t, "-e", "more0")
			if stamp() == second {
				t.Error("a removal did not move it")
			}
		})
	}
}

// TestDamagedDatabases end in an error, soon and without a panic; or in what is
// left of them.
func TestDamagedDatabases(t *testing.T) {
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, format, 10)
			file := filepath.Join(p.database(), map[string]string{rpmdb.KindSQLite: "rpmdb.sqlite", rpmdb.KindNDB: "Packages.db"}[format])
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, damage := range []struct {
				name string
				must bool // be an error
				data func() []byte
			}{
				{"empty", true, func() []byte { return nil }},
				{"first page only", true, func() []byte { return whole[:min(len(whole), 4096)] }},
				{"a third", true, func() []byte { return whole[:len(whole)/3] }},
				{"zeros", true, func() []byte { return make([]byte, len(whole)) }},
				{"ones", true, func() []byte { return bytes.Repeat([]byte{0xff}, len(whole)) }},
				{"garbage behind the head", true, func() []byte {
					b := bytes.Clone(whole)
					for i := 64; i < len(b); i++ {
						b[i] = byte(i * 7)
					}
					return b
				}},
			} {
				dir := t.TempDir()
				if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), damage.data(), 0o644); err != nil {
					t.Fatal(err)
				}
				names, _, err := contents(t, dir)
				if damage.must && err == nil && len(names) > 0 {
					t.Errorf("%s: read %v", damage.name, names)
				}
				if errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: takes too long", damage.name)
				}
			}
			// Flipped bytes, one at a time.
			for at := 0; at < len(whole); at += len(whole)/150 + 1 {
				dir := t.TempDir()
				b := bytes.Clone(whole)
				b[at] ^= 0x5a
				if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), b, 0o644); err != nil {
					t.Fatal(err)
				}
				if _, _, err := contents(t, dir); errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("byte %d flipped: takes too long", at)
				}
			}
		})
	}
}
