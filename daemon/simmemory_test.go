// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/daemon/sim"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/inmemory"
	"github.com/digestd/digestd/store/record"
)

// A machine that is all in memory has the same daemon on another ground: an index and a
// list directory of package inmemory, a database of rpm that is a slice of headers, keys
// that know again what they have signed and verified, and no kernel.

// memoryDisk is a list directory in memory.
type memoryDisk struct{ *inmemory.Dir }

func (d memoryDisk) Stager(prefix string) executor.Stager { return d.Dir.Stager(prefix) }

// memoryIndex is an index in memory.
type memoryIndex struct{ *inmemory.Index }

func (x memoryIndex) marked() bool { return x.Meta(state.MetaOpen) != nil }

func (x memoryIndex) leftovers() map[string]record.Leftover {
	if !x.HasMeta("leftover/") {
		return nil
	}
	c, err := x.Load()
	if err != nil {
		return nil
	}
	return c.Leftovers()
}

func (x memoryIndex) asides() []record.Aside {
	c, _ := x.Content(record.BucketAside)
	return c.Asides
}

func (x memoryIndex) ownLists() []record.Own {
	c, _ := x.Content(record.BucketOwn)
	return c.Own
}

// memoryDatabase is a database of rpm in memory. Each state is another one.
type memoryDatabase struct {
	dir     string
	state   uint64
	headers [][]byte
	certs   []*pgp.Cert
}

func (db *memoryDatabase) Dir() string                           { return db.dir }
func (db *memoryDatabase) Kind() string                          { return "memory" }
func (db *memoryDatabase) Stamp() (rpmdb.Stamp, error)           { return rpmdb.StampOf(db.state), nil }
func (db *memoryDatabase) NameOf(context.Context, uint32) string { return "" }
func (db *memoryDatabase) Certs(context.Context) ([]*pgp.Cert, []error, error) {
	return db.certs, nil, nil
}

func (db *memoryDatabase) Headers(_ context.Context, fn func(number uint32, blob []byte) error) error {
	for i, blob := range db.headers {
		if err := fn(uint32(i+1), blob); err != nil {
			return err
		}
	}
	return nil
}

// memoryDatabases is where rpm's database is from one write to the next.
type memoryDatabases struct {
	simInstalled
	dir string
	mu  sync.Mutex
	now *memoryDatabase
}

func (m *memoryDatabases) close() {}

func (m *memoryDatabases) open() (host.Database, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now, nil
}

func (m *memoryDatabases) write(in sim.Installed, w *simWorld, keys []sim.Certificate) error {
	db := &memoryDatabase{dir: m.dir}
	for _, p := range in {
		db.headers = append(db.headers, w.made[p.String()].Blob)
	}
	for _, k := range keys {
		cert, err := w.remembered(k)
		if err != nil {
			return err
		}
		db.certs = append(db.certs, cert)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.installed, m.keys = slices.Clone(in), slices.Clone(keys)
	if m.now != nil {
		db.state = m.now.state + 1
	}
	m.now = db
	return nil
}

// certificate is what rpm's database says of a key.
func certificate(k []byte) (*pgp.Cert, error) {
	certs, bad, err := pgpOf(k)
	if err != nil || len(bad) > 0 || len(certs) != 1 {
		return nil, errors.Join(append(bad, err, errors.New("want one certificate"))...)
	}
	return certs[0].Remembering(), nil
}

// noKeyrings is a kernel without keyrings.
type noKeyrings struct{}

func (noKeyrings) Find(string) (kernel.Keyring, error)         { return kernel.Keyring{}, kernel.ErrNoKeyring }
func (noKeyrings) FindAll(...string) ([]kernel.Keyring, error) { return nil, nil }
func (noKeyrings) Kinds() map[int]string                       { return nil }
func (noKeyrings) Notifications() bool                         { return false }

// knownIdentities are signing identities that all machines share, one after the other.
type knownIdentities struct {
	mu  sync.Mutex
	all []*identity.Identity
	dir string
}

func (k *knownIdentities) number(n int) (*identity.Identity, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.all) <= n {
		id, err := newSimIdentity(k.dir)
		if err != nil {
			return nil, err
		}
		id.Key = &rememberingSigner{Signer: id.Key, known: map[string][]byte{}}
		k.all = append(k.all, id)
	}
	return k.all[n], nil
}

// rememberingSigner signs the same by the same signature.
type rememberingSigner struct {
	signer.Signer
	mu    sync.Mutex
	known map[string][]byte
}

func (s *rememberingSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sig := s.known[string(digest)]; sig != nil {
		return sig, nil
	}
	sig, err := s.Signer.Sign(random, digest, opts)
	if err == nil {
		s.known[string(digest)] = sig
	}
	return sig, err
}

// memoryIdentities are those of one machine: the first of the known ones, up to the one
// that signs.
type memoryIdentities struct {
	known  *knownIdentities
	dir    string
	now    int
	faults *faults
}

func (m *memoryIdentities) at(n int) (*identity.Identity, error) {
	id, err := m.known.number(n)
	if err != nil {
		return nil, err
	}
	return &identity.Identity{Cert: id.Cert, Key: id.Key, Path: filepath.Join(m.dir, identity.CertFile)}, nil
}

func (m *memoryIdentities) Load(context.Context, *slog.Logger, time.Time) (found identity.Loaded, err error) {
	for n := range m.now {
		before, err := m.at(n)
		if err != nil {
			return found, err
		}
		found.Old = append(found.Old, before.Cert)
	}
	found.Identity, err = m.at(m.now)
	return found, err
}

func (m *memoryIdentities) Prepare(context.Context, time.Time, func()) (string, error) {
	return filepath.Join(m.dir, identity.CertFile+view.PreparedSuffix), nil
}

func (m *memoryIdentities) Try(context.Context, func()) error { return nil }

// Follow may be cut short before the files of an identity have their new names, and
// after that.
func (m *memoryIdentities) Follow(context.Context, time.Time) (*identity.Identity, error) {
	if err := m.faults.hit("rotation"); err != nil {
		return nil, err
	}
	m.now++
	if err := m.faults.hit("rotation"); errors.Is(err, errDead) {
		return nil, err
	}
	return m.at(m.now)
}

// memoryConn is one end of a connection: what is read was written before.
type memoryConn struct {
	net.Conn // what it lacks panics
	in, out  *bytes.Buffer
}

func memoryPair() (ours, theirs net.Conn) {
	var there, back bytes.Buffer
	return memoryConn{in: &there, out: &back}, memoryConn{in: &back, out: &there}
}

func (c memoryConn) Read(b []byte) (int, error)     { return c.in.Read(b) }
func (c memoryConn) Write(b []byte) (int, error)    { return c.out.Write(b) }
func (memoryConn) Close() error                     { return nil }
func (memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (memoryConn) SetWriteDeadline(time.Time) error { return nil }
