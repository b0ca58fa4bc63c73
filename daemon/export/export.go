// SPDX-License-Identifier: Apache-2.0

// Package export tells other programs what is vouched for: fapolicyd and Keylime by files,
// IMA by signatures on the files of packages.
package export

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/neighbours"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/store"
	"golang.org/x/sys/unix"
)

// Exporter tells other programs what is vouched for.
type Exporter struct {
	*host.Host
	databaseRead atomic.Bool // a comparison has read rpm's database since files were signed
	signAnew     atomic.Bool // every file is to be looked at again
	gone         goneLists
}

// fapolicydFIFO is where fapolicyd takes commands; one to look at its files anew
// is a line with the number 1.
const fapolicydFIFO = "/run/fapolicyd/fapolicyd.fifo"

// export is one file that tells somebody else what is vouched for.
type export struct {
	name  string // as in the configuration
	path  string
	write func(w io.Writer, files neighbours.Files) (written, skipped int, err error)
	after func()
	sum   []byte // of what was written last
	wide  wideFiles
}

func (x *Exporter) exports() (all []*export) {
	if x.Config.Fapolicyd != "" {
		all = append(all, &export{name: "fapolicyd", path: x.Config.Fapolicyd, write: neighbours.WriteTrust, after: x.tellFapolicyd})
	}
	if x.Config.Keylime != "" {
		all = append(all, &export{name: "keylime", path: x.Config.Keylime, after: func() {},
			write: func(w io.Writer, files neighbours.Files) (int, int, error) {
				snap := x.Snapshot()
				shared := func(path []byte) bool {
					n := 0
					for range snap.Lookup.WithPath(view.PathRef(path)) {
						n++
					}
					// Under its other name, where directories are links, it may be in
					// other lists.
					return n != 1
				}
				return neighbours.WriteKeylime(w, files, shared, x.Now())
			}})
	}
	return all
}

// Run keeps up to date what others read of this daemon's lists:
// signatures on files at once, whole files when a transaction is over.
func (x *Exporter) Run(ctx context.Context) error {
	exports := x.exports()
	signer := newFileSigner(x)
	if signer.switchedOff() {
		x.exported("ima-signatures", signer.takeBack(ctx))
	}
	if len(exports) == 0 && signer.off {
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-x.ListsChanged:
		case <-signer.again:
			x.exported("ima-signatures", signer.follow(ctx))
			continue
		}
		x.exported("ima-signatures", signer.follow(ctx))
		for x.Snapshot().Open > 0 {
			// Only as long as packages change; what does not wait is done above.
			const step = 100 * time.Millisecond
			select {
			case <-ctx.Done():
				return nil
			case <-x.ListsChanged:
				x.exported("ima-signatures", signer.follow(ctx))
			case <-time.After(step):
			}
		}
		x.exported("ima-signatures", signer.follow(ctx))
		for _, e := range exports {
			x.exported(e.name, x.writeExport(e))
		}
	}
}

// exported tells the administrator what cannot be kept up to date.
func (x *Exporter) exported(name string, err error) {
	x.Exec.Enter(context.Background(), "note", func(s *ledger.Ledger) error {
		had := len(s.Problems)
		if err == nil {
			s.Solved(name)
		} else {
			s.Problem(name, api.SeverityWarning, err.Error(), "mend the cause: digestd tries again by itself; or take "+name+" out of the configuration, then: systemctl restart digestd")
		}
		if err != nil || len(s.Problems) != had {
			s.Show()
		}
		return nil
	})
}

// writeExport replaces an export's file, in one step, if its content has changed.
func (x *Exporter) writeExport(e *export) (err error) {
	dir := filepath.Dir(e.path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(e.path)+".*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", e.path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	sum := sha256.New()
	var left failures
	e.wide.begin(x.Root)
	written, skipped, err := e.write(io.MultiWriter(f, sum), x.vouchedFiles(&e.wide, &left))
	e.wide.end()
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", e.path, err)
	}
	x.tellOfLeft(e, &left)
	if same := sum.Sum(nil); bytes.Equal(same, e.sum) && exists(e.path) {
		f.Close()
		return os.Remove(f.Name())
	}
	if err = errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), e.path)
	}
	if err == nil {
		err = store.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", e.path, err)
	}
	e.sum = sum.Sum(nil)
	x.Logger.Info("files that are vouched for written", "for", e.name, "file", e.path, "files", written, "left out", skipped)
	e.after()
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// tellFapolicyd asks a running fapolicyd to read its files anew. It does not wait
// for one that does not listen.
func (x *Exporter) tellFapolicyd() {
	fd, err := unix.Open(fapolicydFIFO, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return // it reads the file when it starts
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return
	}
	if _, err := unix.Write(fd, []byte("1\n")); err != nil {
		x.Logger.Warn("fapolicyd not told", "error", err, "advice", "fapolicyd-cli --update")
	}
}

// vouchedFiles yields the files that active lists vouch for and that are there,
// by the directory they really lie in.
//
// Others know files by their SHA-256. Where a list has another digest, that of the
// content is taken, if the content is what the list has; else the file has no SHA256.
// What cannot be read is added to left.
func (x *Exporter) vouchedFiles(wide *wideFiles, left *failures) neighbours.Files {
	return func(yield func(neighbours.File, error) bool) {
		dirs := dirCache{root: x.Root}
		defer dirs.close()
		var path []byte
		for _, e := range x.Snapshot().Entries {
			if !e.Active() || e.Broken {
				continue
			}
			stopped := false
			err := x.EachFile(e, func(algo digestlist.Algo, digest, name []byte) error {
				if len(e.Moved) > 0 {
					name = []byte(e.Moved.Path(string(name)))
				}
				if len(name) == 0 || name[0] != '/' {
					return nil
				}
				slash := bytes.LastIndexByte(name, '/')
				dir := dirs.get(string(name[:slash+1]))
				if dir == nil {
					return nil
				}
				var err error
				size, ok := dir.Size(string(name[slash+1:]))
				if !ok {
					return nil
				}
				path = append(append(path[:0], dir.Path...), name[slash:]...)
				if algo != digestlist.SHA256 {
					digest, err = wide.sha256(string(path), identity.Vouched{Algo: algo, Digest: string(digest)})
					left.add(err)
				}
				if !yield(neighbours.File{Path: path, Size: size, SHA256: digest}, nil) {
					stopped = true
					return io.EOF
				}
				return nil
			})
			if stopped {
				return
			}
			if err != nil && !errors.Is(err, os.ErrNotExist) && !yield(neighbours.File{}, err) {
				return
			}
		}
	}
}

// dirCache keeps the directory asked for last: lists name the files of one
// directory in a row.
type dirCache struct {
	root *kernel.Root
	path string
	dir  *kernel.Directory
}

func (c *dirCache) get(path string) *kernel.Directory {
	if path != c.path {
		c.close()
		c.path = path
		c.dir, _ = c.root.Directory(path)
	}
	return c.dir
}

func (c *dirCache) close() {
	if c.dir != nil {
		c.dir.Close()
		c.dir = nil
	}
}

// maxHashed bounds the file that is read for an export, in bytes.
const maxHashed = 4 << 30

// contentDigests reads a file once, and returns its SHA-256 and its digests by the
// algorithms of want.
func contentDigests(f *kernel.File, want []identity.Vouched) (map[digestlist.Algo][]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	hashes := map[digestlist.Algo]hash.Hash{digestlist.SHA256: sha256.New()}
	for _, v := range want {
		if h := v.Hash(); h != 0 && hashes[v.Algo] == nil {
			hashes[v.Algo] = h.New()
		}
	}
	all := make([]io.Writer, 0, len(hashes))
	for _, h := range hashes {
		all = append(all, h)
	}
	if _, err := io.Copy(io.MultiWriter(all...), io.LimitReader(r, maxHashed)); err != nil {
		return nil, err
	}
	sums := make(map[digestlist.Algo][]byte, len(hashes))
	for algo, h := range hashes {
		sums[algo] = h.Sum(nil)
	}
	return sums, nil
}
