// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/digestd/digestd/daemon/ledger/policies"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy/fleet"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// find reads the files of both directories.
func (p *Source) find() policies.Sources {
	src := policies.Sources{Signers: p.Config.PolicySigners}
	names, err := namesIn(p.Config.Policy)
	if err == nil && len(names) > 0 {
		err = forRoot(p.Config.Policy)
	}
	if err != nil {
		src.Err = err
	} else {
		for _, name := range names {
			src.Files = append(src.Files, readOwn(filepath.Join(p.Config.Policy, name)))
		}
	}
	more, err := p.findPackaged()
	src.Files, src.Err = append(src.Files, more...), errors.Join(src.Err, err)
	return src
}

// namesIn returns the names of policy files in a directory. One that is not there is
// empty.
func namesIn(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	const many = 16 * fleet.MaxFiles // besides others
	all, err := d.Readdirnames(many)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var names []string
	for _, name := range all {
		if strings.HasSuffix(name, fleet.Suffix) && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	if len(names) > fleet.MaxFiles || len(all) == many {
		return nil, fmt.Errorf("%s has more than %d files", dir, fleet.MaxFiles)
	}
	return names, nil
}

// forRoot returns an error if anybody but root can change what lies in a directory.
func forRoot(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	return rootsAlone(dir, &st)
}

func rootsAlone(path string, st *unix.Stat_t) error {
	switch {
	case st.Uid != 0 && st.Uid != uint32(os.Geteuid()):
		return fmt.Errorf("%s belongs to user %d, not to root", path, st.Uid)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("others than root can change %s", path)
	}
	return nil
}

// readOwn reads a file of the administrator's.
func readOwn(path string) policies.File {
	f := policies.File{Name: strings.TrimSuffix(filepath.Base(path), fleet.Suffix), Path: path, Own: true}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		f.Err = &os.PathError{Op: "open", Path: path, Err: err}
		return f
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	var st unix.Stat_t
	if f.Err = unix.Fstat(fd, &st); f.Err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		f.Err = errors.New("it is no regular file")
	}
	if f.Err == nil {
		f.Err = rootsAlone(path, &st)
	}
	if f.Err == nil {
		f.Data, f.Err = read(file)
	}
	return f
}

// read reads no more of a file than it may have; one byte beyond tells that it has more.
func read(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, fleet.MaxSize+1)) }

// findPackaged reads the files that packages brought, and finds the lists that vouch for them.
// If a directory cannot be read, its former policies stay in force.
func (p *Source) findPackaged() (files []policies.File, err error) {
	dir, err := p.Root.OpenDir(Dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	where, err := dir.Path()
	dir.Close()
	if err != nil {
		return nil, err
	}
	names, err := namesIn(where)
	if err != nil {
		return nil, err
	}
	snap := p.Snapshot()
	known := inForce(snap)
	for _, name := range names {
		f := policies.File{Name: strings.TrimSuffix(name, fleet.Suffix), Path: filepath.Join(Dir, name)}
		f.Data, f.Err = p.readPackaged(f.Path)
		if f.Err == nil && len(p.Config.PolicySigners) > 0 {
			var lerr error
			if f.List, f.Body, lerr = p.vouching(snap, known[f.Path], f.Path, f.Data); lerr != nil {
				err = errors.Join(err, lerr)
				continue
			}
		}
		files = append(files, f)
	}
	return files, err
}

func (p *Source) readPackaged(path string) ([]byte, error) {
	file, err := p.Root.Find(path, false)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r, err := file.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return read(r)
}

// errFound ends the walk of a list.
var errFound = errors.New("found")

// vouching returns the active list that has that content under that path, and the digest
// of its body; "" for none. The list that vouched before is asked first: at a start the
// files of lists are not known yet.
func (p *Source) vouching(snap *view.Snapshot, was record.Policy, path string, data []byte) (list string, body record.Digest, err error) {
	digests := map[digestlist.Algo][]byte{}
	has := func(e *view.Entry) (bool, error) {
		if !e.Active() || e.Own != "" || e.Grace != "" {
			return false, nil
		}
		err := p.EachFile(e, func(algo digestlist.Algo, digest, name []byte) error {
			if string(name) != path || algo.Hash() == 0 {
				return nil
			}
			if digests[algo] == nil {
				h := algo.Hash().New()
				h.Write(data)
				digests[algo] = h.Sum(nil)
			}
			if bytes.Equal(digest, digests[algo]) {
				return errFound
			}
			return nil
		})
		switch {
		case errors.Is(err, errFound):
			return true, nil
		case errors.Is(err, fs.ErrNotExist):
			return false, nil // it leaves at this moment
		}
		return false, err
	}
	var asked []*view.Entry
	if was.Package != "" {
		for _, e := range snap.Entries {
			if e.Package.Full() == was.Package {
				asked = append(asked, e)
			}
		}
	}
	ref := view.PathRef([]byte(path))
	for e := range snap.Lookup.WithPath(ref) {
		asked = append(asked, e)
	}
	for _, e := range asked {
		switch found, err := has(e); {
		case err != nil:
			return "", body, fmt.Errorf("cannot look into the list %s: %w", e.Name, err)
		case found:
			return e.Name, e.Body, nil
		}
	}
	return "", body, nil
}
