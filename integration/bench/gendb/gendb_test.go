// SPDX-License-Identifier: Apache-2.0

package gendb_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/rpmdb/pgp"
)

func write(t *testing.T, s gendb.Shape) (*pkgtest.Root, gendb.Summary) {
	t.Helper()
	root, err := pkgtest.NewRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sum, err := gendb.Write(t.Context(), root, s)
	if err != nil {
		t.Fatal(err)
	}
	return root, sum
}

// rpm reads every header, finds it as it was signed, and every file as it is
// listed.
func TestRPMReadsAll(t *testing.T) {
	root, sum := write(t, gendb.Shape{Packages: 30, Files: 600, Bits: 2048, Tree: true})
	if sum.Packages != 30 || sum.Files != 600 {
		t.Errorf("wrote %d packages and %d files", sum.Packages, sum.Files)
	}
	out, err := root.Command("-qa", "--dump").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, seen := 0, map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "/") {
			continue // the key has no files
		}
		files++
		f := strings.Fields(line) // path size mtime digest mode …
		if strings.Trim(f[3], "0") == "" {
			continue // has no digest
		}
		data, err := os.ReadFile(filepath.Join(root.Dir, f[0]))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != f[3] {
			t.Errorf("%s has digest %s, rpm's database says %s", f[0], got, f[3])
		}
		seen[f[0]] = true
	}
	if files != sum.Files {
		t.Errorf("rpm -qa --dump has %d files, want %d", files, sum.Files)
	}
	for _, p := range sum.Paths {
		if !seen[p] {
			t.Errorf("%s is not in rpm's database", p)
		}
	}
	sigs, err := root.Query("-qa", "--qf", "%{RSAHEADER:pgpsig}\n")
	if err != nil {
		t.Fatal(err)
	}
	signed := 0
	for _, s := range sigs {
		if strings.HasPrefix(s, "RSA/SHA256, ") {
			signed++
		}
	}
	if signed != sum.Packages {
		t.Errorf("rpm sees %d signatures, want %d", signed, sum.Packages)
	}
}

// rpm installs exactly the contents of the packages: every file, directory and link.
func TestPackagesInstall(t *testing.T) {
	root, err := pkgtest.NewRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir, install := t.TempDir(), []string{"-i", "--nosignature"}
	files, links := map[string]string{}, map[string]string{}
	for p := range gendb.Packages(gendb.Shape{Packages: 5, Files: 200}, "/opt") {
		file, err := p.Build(dir)
		if err != nil {
			t.Fatal(err)
		}
		install = append(install, file)
		maps.Copy(files, p.Files)
		maps.Copy(links, p.Links)
	}
	if err := root.Run(install...); err != nil {
		t.Fatal(err)
	}
	names, err := root.Query("-qal")
	if want := len(files) + len(links); err != nil || len(names) != want || want < 190 {
		t.Errorf("rpm has %d files, want %d: %v", len(names), want, err)
	}
	for path, content := range files {
		if strings.HasSuffix(path, "/") {
			continue
		}
		if got, err := os.ReadFile(filepath.Join(root.Dir, path)); err != nil || string(got) != content {
			t.Errorf("%s holds something else: %v", path, err)
		}
	}
	for path, target := range links {
		if got, err := os.Readlink(filepath.Join(root.Dir, path)); err != nil || got != target {
			t.Errorf("%s leads to %q, want %q: %v", path, got, target, err)
		}
	}
}

// Signatures are by the key that rpm trusts.
func TestSignaturesVerify(t *testing.T) {
	root, sum := write(t, gendb.Shape{Packages: 8, Files: 100, Bits: 2048})
	db, err := rpmdb.Open(root.Database())
	if err != nil {
		t.Fatal(err)
	}
	certs, bad, err := rpmdb.Certs(t.Context(), db)
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	ring, good := pgp.NewKeyring(certs...), 0
	for _, blob := range headers(t, db) {
		h, err := header.Parse(blob)
		if err != nil {
			t.Fatal(err)
		}
		if name, _ := h.String(header.TagName); name == "gpg-pubkey" {
			continue
		}
		region, err := h.Immutable()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Verify(region, h.Signatures(), time.Now()); err != nil {
			t.Error(err)
		}
		good++
	}
	if good != sum.Packages {
		t.Errorf("found %d packages, want %d", good, sum.Packages)
	}
}

func TestSameShapeSameHeaders(t *testing.T) {
	var all [3][]byte
	for i, seed := range []uint64{1, 1, 2} {
		root, _ := write(t, gendb.Shape{Packages: 5, Files: 40, Bits: 2048, Seed: seed})
		db, err := rpmdb.Open(root.Database())
		if err != nil {
			t.Fatal(err)
		}
		all[i] = bytes.Join(headers(t, db)[1:], nil) // the first is the key, as rpm imported it
	}
	if !bytes.Equal(all[0], all[1]) {
		t.Error("one shape gave two sets of headers")
	}
	if bytes.Equal(all[0], all[2]) {
		t.Error("two seeds gave one set of headers")
	}
}

func headers(t *testing.T, db *rpmdb.DB) (blobs [][]byte) {
	t.Helper()
	err := db.Headers(context.Background(), func(_ uint32, blob []byte) error {
		blobs = append(blobs, bytes.Clone(blob))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return blobs
}
