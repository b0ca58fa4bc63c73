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
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/neighbours"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/durable"
	"golang.org/x/sys/unix"
)

// Exporter tells other programs what is vouched for. One goroutine does so; see
// [Exporter.Run].
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

// Run keeps up to date what others read of this daemon's lists, until ctx ends: signatures on
// files at once, whole files when a transaction is over. Failures are problems in status, and
// are retried.
func (x *Exporter) Run(ctx context.Context) error {
	exports := x.exports()
	signer := newFileSigner(x)
	if signer.switchedOff() {
		x.exported("ima-signatures", signer.takeBack(ctx))
	}
	if len(exports) == 0 && signer.off {
		return nil
	}
	var rest time.Duration // before files that could not be written are tried again; 0 when all were
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-x.ListsChanged:
		case <-again:
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
		var failed failures
		for _, e := range exports {
			err := x.writeExport(e)
			x.exported(e.name, err)
			failed.add(err)
		}
		if rest, again = 0, nil; failed.n > 0 {
			rest = min(max(2*rest, host.FirstChore), host.LastChore)
			again = time.After(rest)
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
			s.Problem(name, api.SeverityWarning, err.Error(), "fix the cause; digestd retries automatically; or remove "+name+" from the configuration, then: systemctl restart digestd")
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
		err = durable.SyncDir(dir)
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
