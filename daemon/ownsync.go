// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// ownFiles finds the bodies of own lists, and removes what a crash left beside them,
// unless the index was lost: then they are all that is left, and are read.
func ownFiles(stateDir string, records []record.Own, rebuilt bool) (found []ownFile, err error) {
	dir := filepath.Join(stateDir, ownDir)
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
			wanted[ownBody(stateDir, o)] = true
		}
	}
	for _, file := range files {
		f := ownFile{path: filepath.Join(dir, file.Name())}
		if wanted[f.path] {
			continue
		}
		if !rebuilt {
			err = errors.Join(err, os.Remove(f.path))
			continue
		}
		if f.name, f.version, f.imported = splitBody(file.Name()); f.name == "" || f.imported {
			continue
		}
		var body []byte
		if body, f.err = os.ReadFile(f.path); f.err == nil {
			f.body = sha256.Sum256(body)
			f.files, f.err = countFiles(digestlist.FormatTLV, body)
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

// remakeOwn signs and stages own lists again, from the bodies that are kept.
func (d *Daemon) remakeOwn(ctx context.Context, work []*ownWork) {
	if len(work) == 0 {
		return
	}
	stager := d.dir.Stager("own" + strconv.FormatUint(d.serial.Add(1), 36))
	for _, w := range work {
		if w.err = ctx.Err(); w.err != nil {
			continue
		}
		body, err := d.openOwnBody(w.record)
		if err == nil {
			w.made, err = d.makeOwn(stager, body)
			body.unmap()
		}
		w.err = err
	}
}
