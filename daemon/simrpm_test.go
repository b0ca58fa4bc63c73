// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"net"
	"os"
	"slices"

	"github.com/digestd/digestd/daemon/sim"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/rpmdb/pgp"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver
)

// rpmDatabase is a database as rpm leaves one, with what digestd reads of it.
type rpmDatabase struct {
	simInstalled
	*gendb.Database
}

func newRPMDatabase(dir string) (*rpmDatabase, error) {
	db, err := gendb.NewDatabase(dir)
	return &rpmDatabase{Database: db}, err
}

func (r *rpmDatabase) close() { r.Close() }

// pgpOf reads the certificate in a header of rpm's database.
func pgpOf(blob []byte) ([]*pgp.Cert, []error, error) {
	dir, err := os.MkdirTemp(fastPlace(), "digestd-sim-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	r, err := newRPMDatabase(dir)
	if err != nil {
		return nil, nil, err
	}
	defer r.close()
	if err := r.Replace(func(add func(name string, blob []byte)) error { add("gpg-pubkey", blob); return nil }); err != nil {
		return nil, nil, err
	}
	db, err := rpmdb.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	return rpmdb.Certs(context.Background(), db)
}

// write makes the database hold these packages and keys.
func (r *rpmDatabase) write(in sim.Installed, w *simWorld, keys []sim.Certificate) (err error) {
	r.installed, r.keys = slices.Clone(in), slices.Clone(keys)
	return r.Replace(func(add func(name string, blob []byte)) error {
		for _, p := range in {
			add(p.Name, w.made[p.String()].Blob)
		}
		for _, k := range keys {
			blob, err := headerOf(k)
			if err != nil {
				return err
			}
			add("gpg-pubkey", blob)
		}
		return nil
	})
}

// socketPair returns both ends of a connection, as a package manager and digestd
// have them.
func socketPair() (ours *net.UnixConn, theirs net.Conn, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	conns := make([]net.Conn, 2)
	for i, fd := range pair {
		f := os.NewFile(uintptr(fd), "pair")
		if conns[i], err = net.FileConn(f); err != nil {
			return nil, nil, err
		}
		f.Close()
	}
	return conns[0].(*net.UnixConn), conns[1], nil
}
