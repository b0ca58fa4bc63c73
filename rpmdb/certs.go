// SPDX-License-Identifier: Apache-2.0

package rpmdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/rpmdb/pgp"
)

const (
	pubKeyName  = "gpg-pubkey" // packages that are public keys
	pubKeyDir   = "pubkeys"    // keyrings "fs" and "openpgp" of rpm 6, beside the database
	maxCertFile = 1 << 20
)

// ErrNoKey means that a package has the name of rpm's keys and is not one: no key is missing
// because of it.
var ErrNoKey = errors.New("it is no key")

// Certs returns the certificates that rpm trusts: those imported as gpg-pubkey packages, and
// those in the directory pubkeys beside the database, in the layout of rpm's fs keyring or of an
// OpenPGP certificate directory. One certificate may occur several times; a keyring merges them.
// Source names the place of each.
//
// bad has the errors about single keys, which do not affect the others, and about packages of
// that name without a key ([ErrNoKey]). err means that the keys are unknown, not that there are
// none.
func Certs(ctx context.Context, db *DB) (certs []*pgp.Cert, bad []error, err error) {
	err = db.Named(ctx, pubKeyName, func(hnum uint32, blob []byte) error {
		c, err := certsOfHeader(blob)
		certs = append(certs, c...)
		if err != nil {
			bad = append(bad, fmt.Errorf("cannot read public key in header %d: %w", hnum, err))
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	files, err := certFiles(filepath.Join(db.dir, pubKeyDir))
	if err != nil {
		return nil, nil, err
	}
	c, b := readCerts(files)
	return append(certs, c...), append(bad, b...), nil
}

// CertsDir returns the certificates in the files *.asc, *.gpg, *.pgp and *.key
// of a directory, in the order of their names, and an error for each file that
// could not be read. A directory that does not exist has no certificates.
func CertsDir(dir string) ([]*pgp.Cert, []error) {
	files, err := list(dir, func(e fs.DirEntry) bool {
		return !e.IsDir() && slices.Contains([]string{".asc", ".gpg", ".pgp", ".key"}, filepath.Ext(e.Name()))
	})
	if err != nil {
		return nil, []error{err}
	}
	return readCerts(files)
}

// certsOfHeader refuses keys in a package for some architecture or system, as rpm does.
func certsOfHeader(blob []byte) ([]*pgp.Cert, error) {
	h, err := header.Parse(blob)
	if err != nil {
		return nil, err
	}
	n, err := h.NEVRA()
	if err != nil {
		return nil, err
	}
	for _, tag := range []uint32{header.TagArch, header.TagOS} {
		if h.Has(tag) || h.Unsigned().Has(tag) {
			return nil, fmt.Errorf("%s has an architecture or operating system: %w", n, ErrNoKey)
		}
	}
	keys := h.PubKeys()
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s has no public key in it: %w", n, ErrNoKey)
	}
	var certs []*pgp.Cert
	var errs []error
	for _, key := range keys {
		c, err := pgp.ParseCerts(key)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", n, err))
		}
		for _, c := range c {
			c.Source = fmt.Sprintf("%s-%s-%s", n.Name, n.Version, n.Release)
		}
		certs = append(certs, c...)
	}
	return certs, errors.Join(errs...)
}

// certFiles lists dir/*.key and the files of a certificate directory, such as dir/6a/9bc3…: the
// name is a fingerprint without its first two digits.
func certFiles(dir string) ([]string, error) {
	files, err := list(dir, func(e fs.DirEntry) bool { return !e.IsDir() && filepath.Ext(e.Name()) == ".key" })
	if err != nil {
		return nil, err
	}
	subdirs, err := list(dir, func(e fs.DirEntry) bool { return e.IsDir() && len(e.Name()) == 2 && isHex(e.Name()) })
	if err != nil {
		return nil, err
	}
	for _, d := range subdirs {
		more, err := list(d, func(e fs.DirEntry) bool {
			return !e.IsDir() && (len(e.Name()) == 38 || len(e.Name()) == 62) && isHex(e.Name())
		})
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	return files, nil
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// list returns the paths of the wanted entries of a directory, sorted.
func list(dir string, want func(fs.DirEntry) bool) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list keys: %w", err)
	}
	var paths []string
	for _, e := range entries {
		if want(e) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

func readCerts(files []string) (certs []*pgp.Cert, bad []error) {
	for _, path := range files {
		data, err := readRegular(path)
		var c []*pgp.Cert
		if err == nil {
			c, err = pgp.ParseCerts(data)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("cannot read keys in %s: %w", path, err))
		}
		for _, c := range c {
			c.Source = path
		}
		certs = append(certs, c...)
	}
	return certs, bad
}

// readRegular does not wait for the writer of a FIFO.
func readRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxCertFile+1))
	if err == nil && len(data) > maxCertFile {
		err = fmt.Errorf("larger than %d bytes", maxCertFile)
	}
	return data, err
}
