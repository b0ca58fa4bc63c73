// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/digestd/digestd/daemon/build"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// ownFiles finds the bodies of own lists, and removes what a crash left beside them,
// unless the index was lost: then they are all that is left, and are read.
func ownFiles(stateDir string, records []record.Own, rebuilt bool) (found []ledger.OwnFile, err error) {
	dir := filepath.Join(stateDir, ledger.OwnDir)
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, o := range records {
		if o.Removed.IsZero() {
			wanted[ledger.OwnBody(stateDir, o)] = true
		}
	}
	for _, file := range files {
		f := ledger.OwnFile{Path: filepath.Join(dir, file.Name())}
		if wanted[f.Path] {
			continue
		}
		if !rebuilt {
			err = errors.Join(err, os.Remove(f.Path))
			continue
		}
		if f.Name, f.Version, f.Imported = splitBody(file.Name()); f.Name == "" || f.Imported {
			continue
		}
		var body []byte
		if body, f.Err = os.ReadFile(f.Path); f.Err == nil {
			f.Body = sha256.Sum256(body)
			f.Files, f.Err = build.CountFiles(digestlist.FormatTLV, body)
		}
		found = append(found, f)
	}
	return found, err
}

// splitBody reads the name that ownBody gives.
func splitBody(file string) (name string, version uint64, imported bool) {
	file, imported = strings.CutSuffix(file, ".imported")
	if i := strings.LastIndexByte(file, '.'); i > 0 {
		if n, err := strconv.ParseUint(file[i+1:], 10, 63); err == nil {
			return file[:i], n, imported
		}
	}
	return "", 0, imported
}
