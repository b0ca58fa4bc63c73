// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/listdir"
	"github.com/digestd/digestd/store/record"
)

// The daemon reaches its machine through these interfaces, so that a test can supply a disk that
// fails or a machine in memory.

// Directory is a list directory in a file system.
type Directory struct{ *listdir.Dir }

// Stager stages lists under names that begin with prefix.
func (d Directory) Stager(prefix string) executor.Stager { return d.Dir.Stager(prefix) }

// Index is the index for all rooms: a [store.Index], unless a test supplies another.
type Index interface {
	executor.IndexEffects
	Retired() ([]record.Retirement, error)
	Close() error
}

// Database reads rpm's database; see [rpmdb.DB].
type Database interface {
	Dir() string
	Kind() string
	Stamp() (rpmdb.Stamp, error)
	Headers(ctx context.Context, fn func(number uint32, blob []byte) error) error
	NameOf(ctx context.Context, number uint32) string
	Certs(ctx context.Context) (certs []*pgp.Cert, bad []error, err error)
}

// DiskDatabase is a database of rpm in a file system.
type DiskDatabase struct{ *rpmdb.DB }

// Certs reads the keys in rpm's keyring. The second result names the keys that cannot be used.
func (d DiskDatabase) Certs(ctx context.Context) ([]*pgp.Cert, []error, error) {
	return rpmdb.Certs(ctx, d.DB)
}

// keyrings finds the kernel's keyrings; see [kernel.Keyrings].
type keyrings interface {
	Find(name string) (kernel.Keyring, error)
	FindAll(names ...string) ([]kernel.Keyring, error)
	Kinds() map[int]string
	Notifications() bool
}
