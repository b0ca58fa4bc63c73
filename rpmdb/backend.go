// SPDX-License-Identifier: Apache-2.0

package rpmdb

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// backendMacros are the files that may set rpm's macro _db_backend; the last one counts.
var backendMacros = []string{"usr/lib/rpm/macros", "usr/lib/rpm/macros.d/*", "usr/lib/rpm/*/macros", "etc/rpm/macros.*", "etc/rpm/macros"}

const (
	maxMacroFiles = 256
	maxMacros     = 1 << 20 // bytes of one file
)

// BackendOf returns the form in which the rpm below root writes databases, by its macro
// _db_backend: "sqlite", "ndb" or "bdb"; "" if no file sets it.
func BackendOf(root string) (backend string) {
	fsys, err := os.OpenRoot(root)
	if err != nil {
		return ""
	}
	defer fsys.Close()
	for _, pattern := range backendMacros {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			continue
		}
		slices.Sort(files)
		for _, file := range files[:min(len(files), maxMacroFiles)] {
			if path, err := filepath.Rel(root, file); err == nil {
				backend = backendIn(fsys, path, backend)
			}
		}
	}
	return backend
}

// backendIn returns the value that a file of macros sets, or else backend.
func backendIn(fsys *os.Root, path, backend string) string {
	info, err := fsys.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return backend
	}
	f, err := fsys.Open(path)
	if err != nil {
		return backend
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxMacros))
	for lines.Scan() {
		if words := strings.Fields(lines.Text()); len(words) == 2 && words[0] == "%_db_backend" {
			backend = words[1]
		}
	}
	return backend
}

// BerkeleyAdvice says what to do about an ErrBerkeleyDB on the machine below root.
func BerkeleyAdvice(root string) string {
	switch backend := BackendOf(root); backend {
	case KindSQLite, KindNDB:
		return "convert it, its rpm writes " + backend + ": rpmdb --rebuilddb"
	case "":
		return "its rpm cannot convert it: digestd needs rpm 4.16 or newer, or one that writes ndb; after that is installed: rpmdb --rebuilddb"
	default:
		return "its rpm is set to write " + backend + ", so rpmdb --rebuilddb would not convert it; if rpm is 4.16 or newer, set %_db_backend to sqlite in /etc/rpm/macros first, else install one that is"
	}
}
