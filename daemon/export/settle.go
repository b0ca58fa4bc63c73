// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// vouched reads which digest an active list has for each path, as the package
// names it.
func (x *Exporter) vouched(e *view.Entry) (map[string]identity.Vouched, error) {
	files := make(map[string]identity.Vouched, e.Files)
	err := x.EachFile(e, func(algo digestlist.Algo, digest, path []byte) error {
		files[string(path)] = identity.Vouched{Algo: algo, Digest: string(digest)}
		return nil
	})
	return files, err
}

// settle looks at the files of one installed package. It takes our signature off
// those that e does not vouch for; e is nil when no list does. The others are signed
// if sign is set, else left says that some have to be.
func (f *fileSigner) settle(snap *view.Snapshot, id *identity.Identity, h *header.Header, e *view.Entry, sign bool) (left bool, err error) {
	files := map[string]identity.Vouched{}
	if e != nil {
		if files, err = f.listed(e); err != nil {
			return false, fmt.Errorf("cannot sign files of %s: %w", e.Name, err)
		}
	}
	var failed failures
	moved, err := h.Relocations()
	failed.add(err)
	err = h.Files(func(file header.File) error {
		if !executable(file) {
			return nil
		}
		if sign && (len(f.ListsChanged) > 0 || f.Snapshot().Open > 0) {
			return errPutOff
		}
		path := file.Path()
		var want []identity.Vouched
		if v := files[path]; v.Digest != "" && v.Digest == string(file.Digest) {
			want = append(want, v)
		}
		more, err := f.settleFile(snap, id, moved.Path(path), want, sign)
		left = left || more
		failed.add(err)
		return nil
	})
	if errors.Is(err, errPutOff) {
		return true, err
	}
	failed.add(err)
	return left, failed.err()
}

// settleFile makes one file's signature what lists allow. want is what the package
// that has the file is vouched for there; other lists may have the path, too.
func (f *fileSigner) settleFile(snap *view.Snapshot, id *identity.Identity, path string, want []identity.Vouched, sign bool) (left bool, err error) {
	file, err := f.Root.Find(path, false)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, kernel.ErrNotRegular) {
		return false, nil
	}
	if err == nil {
		defer file.Close()
		left, err = f.settleFound(snap, id, path, file, want, sign)
	}
	if errors.Is(err, unix.EOPNOTSUPP) {
		return false, nil // a file system without attributes: IMA finds no signature there, nor needs one
	}
	if err != nil {
		return false, fmt.Errorf("cannot sign %s: %w", path, err)
	}
	return left, nil
}

func (f *fileSigner) settleFound(snap *view.Snapshot, id *identity.Identity, path string, file *kernel.File, want []identity.Vouched, sign bool) (left bool, err error) {
	value, err := file.IMA()
	if err != nil {
		return false, err
	}
	want, several, err := f.addOthers(snap, path, want)
	if err != nil {
		return false, err
	}
	version := f.Config.IMASignatureVersion
	good := slices.ContainsFunc(want, func(v identity.Vouched) bool { return id.Signed(value, v, version) })
	switch {
	case len(want) == 0 && identity.MadeHere(snap.Certificates, value):
		return false, file.RemoveIMA()
	case len(want) == 0 || !several && good:
		return false, nil
	case !sign && (good || !id.Made(value)):
		return true, nil // the signature that is there does no harm meanwhile
	}
	v := want[0]
	if several || v.Algo != digestlist.SHA256 || !sign {
		// The file on disk decides between several digests; and if a list has another digest
		// than SHA-256, only the content has the SHA-256.
		sums, err := contentDigests(file, want)
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(want, func(v identity.Vouched) bool { return string(sums[v.Algo]) == v.Digest }) {
			if identity.MadeHere(snap.Certificates, value) {
				err = file.RemoveIMA()
			}
			return false, err
		}
		for algo, sum := range sums {
			if id.Signed(value, identity.Vouched{Algo: algo, Digest: string(sum)}, version) {
				return false, nil
			}
		}
		if !sign {
			return true, nil
		}
		v = identity.Vouched{Algo: digestlist.SHA256, Digest: string(sums[digestlist.SHA256])}
	}
	if value, err = id.IMASignature(v, version); err == nil {
		err = file.SetIMA(value)
	}
	return false, err
}

// addOthers adds to want what other active lists have under a path. several says that
// more than one list has it: each of their packages may have written the file.
func (f *fileSigner) addOthers(snap *view.Snapshot, path string, want []identity.Vouched) (all []identity.Vouched, several bool, err error) {
	if f.off {
		return want, false, nil
	}
	lists := 0
	for e := range snap.Lookup.WithPath(view.PathRef([]byte(path))) {
		if !e.Active() || e.Broken {
			continue
		}
		files, err := f.listed(e)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has gone since
		}
		if err != nil {
			return want, false, err
		}
		v := files[path]
		if v.Digest == "" {
			continue
		}
		lists++
		if !slices.Contains(want, v) {
			want = append(want, v)
		}
	}
	return want, lists > 1 || len(want) > 1, nil
}

// listed returns what a list vouches for, and keeps that of the latest few: the files
// of a package are asked for in a row.
func (f *fileSigner) listed(e *view.Entry) (map[string]identity.Vouched, error) {
	const most = 8
	if files, known := f.cache[e.File]; known {
		return files, nil
	}
	files, err := f.vouched(e)
	if err != nil {
		return nil, err
	}
	if len(f.cache) >= most {
		clear(f.cache)
	}
	f.cache[e.File] = files
	return files, nil
}
