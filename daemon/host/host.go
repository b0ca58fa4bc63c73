// SPDX-License-Identifier: Apache-2.0

// Package host holds what all rooms of the daemon share: the settings, the machine (root, list
// directory, index, rpm's database, keyrings, clock), the executor, and the channels by which
// one room wakes another.
package host

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/build"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/memory"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/kernel/deployment"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/store/record"
)

// Host holds the settings, the machine, and the executor. All changes go through the executor.
type Host struct {
	Config  config.Config
	Logger  *slog.Logger
	Now     func() time.Time
	Exec    *executor.Executor
	Builder atomic.Pointer[build.Builder]
	Dir     executor.ListDirectory
	Index   Index
	Machine
	Signals
	Memory  *memory.Memory
	Serial  atomic.Uint64 // numbers writers to the staging directory
	Buffers sync.Pool     // *[]byte, for reading lists
}

// Machine is the interface to the machine. A test can supply its own.
type Machine struct {
	Root     *kernel.Root
	Database func() (Database, error) // [rpmdb.ErrNoDatabase] if there is none
	Keyrings keyrings
	Booted   func() (deployment.Deployment, error)
	UnitOf   func(pid uint32) string

	DigestCache func() kernel.Answer // whether the kernel has the Integrity Digest Cache
}

// Signals wake the loops of rooms.
type Signals struct {
	Wanted       chan string   // reasons for reconciliations that were requested
	Ended        chan struct{} // a transaction ended
	Timed        chan struct{} // a grant, denial or other term may have begun or ended
	ListsChanged chan struct{} // the contents for which lists vouch may have changed
	Chores       chan struct{} // the state has work to retry
	LabelsWanted chan struct{} // there are labels to write
}

// New returns a host for this machine. The caller sets root, executor, list directory and index.
func New(c config.Config, log *slog.Logger) *Host {
	h := &Host{Config: c, Logger: log, Now: failpoint.Now, Memory: memory.New(),
		Machine: Machine{Booted: bootedInto(c.Root), Keyrings: kernel.NewKeyrings(), DigestCache: func() kernel.Answer { return kernel.HasDigestCache("/") }, UnitOf: kernel.UnitOf},
		Signals: Signals{Wanted: make(chan string, 1), Ended: make(chan struct{}, 1), Timed: make(chan struct{}, 1),
			ListsChanged: make(chan struct{}, 1), Chores: make(chan struct{}, 1), LabelsWanted: make(chan struct{}, 1)},
	}
	h.Database = h.openDatabase
	return h
}

// bootedInto returns a function that finds out which deployment the machine is running. If root
// is not the machine's own, the function reports none.
func bootedInto(root string) func() (deployment.Deployment, error) {
	return func() (d deployment.Deployment, err error) {
		if filepath.Clean(root) != "/" {
			return d, nil
		}
		return deployment.Booted("/proc")
	}
}

// Snapshot returns the state for readers. After a call the host does not return memory to the
// system for a while.
func (h *Host) Snapshot() *view.Snapshot {
	h.Memory.Use()
	return h.Exec.Published.Load()
}

// LocateDB finds the directory of rpm's database.
func (h *Host) LocateDB() (string, error) {
	if h.Config.DBPath != "" {
		dir := filepath.Join(h.Config.Root, h.Config.DBPath)
		if _, err := os.Stat(dir); err != nil {
			return "", fmt.Errorf("%w: %w", rpmdb.ErrNoDatabase, err)
		}
		return dir, nil
	}
	return rpmdb.Locate(h.Config.Root)
}

// openDatabase opens rpm's database for reading.
func (h *Host) openDatabase() (Database, error) {
	dir, err := h.LocateDB()
	if err != nil {
		return nil, err
	}
	db, err := rpmdb.Open(dir)
	if err != nil {
		return nil, err
	}
	return DiskDatabase{db}, nil
}

// WantSync requests a reconciliation. Requests that arrive before it begins are one.
func (h *Host) WantSync(reason string) {
	select {
	case h.Wanted <- reason:
	default:
	}
}

// DatabaseStamp returns a stamp that differs if rpm's database may have changed. It is zero if
// there is no readable database.
func (h *Host) DatabaseStamp() (stamp rpmdb.Stamp) {
	if db, err := h.Database(); err == nil {
		stamp, _ = db.Stamp()
	}
	return stamp
}

// EachFile calls fn for each file of a published list, like [WalkList]. The arguments of fn are
// valid only until fn returns. The error is fs.ErrNotExist if the list is gone.
func (h *Host) EachFile(e *view.Entry, fn func(algo digestlist.Algo, digest, path []byte) error) error {
	buf, ok := h.Buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	defer h.Buffers.Put(buf)
	data, err := h.Dir.Read(e.Name, *buf)
	if err != nil {
		return err
	}
	*buf = data
	return WalkList(e.Name, data, fn)
}

// WalkList calls fn for each file of a list, signed or not; name determines the format. It stops
// at the first error of fn and returns it. The arguments of fn alias data.
func WalkList(name string, data []byte, fn func(algo digestlist.Algo, digest, path []byte) error) error {
	format, _, err := ledger.FormatOf(name)
	if err != nil {
		return err
	}
	if body, _, _, err := digestlist.SplitSignature(data); err == nil {
		data = body
	}
	return digestlist.Walk(format, data, fn)
}

// InsideRoot converts a caller's path into a path inside the root.
func (h *Host) InsideRoot(path string) string {
	root := strings.TrimSuffix(filepath.Clean(h.Config.Root), "/")
	if rest, ok := strings.CutPrefix(filepath.Clean(path), root); ok && (rest == "" || rest[0] == '/') {
		return "/" + strings.TrimPrefix(rest, "/")
	}
	return filepath.Clean(path)
}

// WakeNeighbours starts an update of the files that fapolicyd, Keylime and others read.
func (h *Host) WakeNeighbours() { executor.Wake(h.ListsChanged) }

// Named returns the entry of a list, or an entry with only the name if there is none.
func (h *Host) Named(name string) *view.Entry {
	if e := h.Snapshot().List(name); e != nil {
		return e
	}
	return &view.Entry{List: record.List{Name: name}}
}
