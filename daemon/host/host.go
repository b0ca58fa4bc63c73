// SPDX-License-Identifier: Apache-2.0

// Package host is what every room of the daemon stands on: the settings, the machine
// (root, list directory, index, rpm's database, keyrings, clock), the executor, and the
// channels by which one room wakes another.
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
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/kernel/deployment"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/store/record"
)

// Host is what every room of the daemon stands on: its settings, the machine, and the
// executor, through which alone anything is changed.
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
	Memory  *memory
	Serial  atomic.Uint64 // of what writes into the staging directory
	Buffers sync.Pool     // *[]byte that lists are read into
}

// Machine is the machine as digestd sees it, of which a test can give another.
type Machine struct {
	Root     *kernel.Root
	Database func() (Database, error) // [rpmdb.ErrNoDatabase] where there is none
	Keyrings keyrings
	Features func() kernel.Features // of the kernel
	Booted   func() (deployment.Deployment, error)
	UnitOf   func(pid uint32) string
}

// Signals wake the loops of rooms.
type Signals struct {
	Wanted       chan string   // wanted reconciliations, by reason
	Ended        chan struct{} // a transaction ended
	Timed        chan struct{} // what ends or begins at a certain time may have changed
	ListsChanged chan struct{} // what is vouched for may have
	Chores       chan struct{} // the state has something left to do
	LabelsWanted chan struct{} // labels are to be written
}

// New returns a host on this machine, without root, executor, list directory or index.
func New(c config.Config, log *slog.Logger) *Host {
	h := &Host{Config: c, Logger: log, Now: failpoint.Now, Memory: newMemory(),
		Machine: Machine{Booted: bootedInto(c.Root), Keyrings: kernel.NewKeyrings(), Features: func() kernel.Features { return kernel.Detect("/") }, UnitOf: kernel.UnitOf},
		Signals: Signals{Wanted: make(chan string, 1), Ended: make(chan struct{}, 1), Timed: make(chan struct{}, 1),
			ListsChanged: make(chan struct{}, 1), Chores: make(chan struct{}, 1), LabelsWanted: make(chan struct{}, 1)},
	}
	h.Database = h.openDatabase
	return h
}

// bootedInto returns what tells which deployment the machine is running. Another root than the
// machine's own is none.
func bootedInto(root string) func() (deployment.Deployment, error) {
	return func() (d deployment.Deployment, err error) {
		if filepath.Clean(root) != "/" {
			return d, nil
		}
		return deployment.Booted("/proc")
	}
}

// Snapshot is what readers see of the state. A call keeps memory from being
// given back for a while.
func (h *Host) Snapshot() *view.Snapshot {
	h.Memory.use()
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

// WantSync asks for a reconciliation soon; a second wish before it began is the
// same one.
func (h *Host) WantSync(reason string) {
	select {
	case h.Wanted <- reason:
	default:
	}
}

// DatabaseStamp tells whether rpm's database may have changed: it is another one then. It
// is zero where there is no database, or none that can be read.
func (h *Host) DatabaseStamp() (stamp rpmdb.Stamp) {
	if db, err := h.Database(); err == nil {
		stamp, _ = db.Stamp()
	}
	return stamp
}

// EachFile walks the files of a published list as [WalkList] does, except that what fn is
// given is valid only until it returns. Its error is fs.ErrNotExist if the list is gone.
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

// WalkList walks the files of a list, which its name tells the format of, with or without a
// signature at its end. It stops at the first error of fn, and returns that. The arguments of
// fn are parts of data.
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

// InsideRoot turns a path as the caller sees it into one inside the root.
func (h *Host) InsideRoot(path string) string {
	root := strings.TrimSuffix(filepath.Clean(h.Config.Root), "/")
	if rest, ok := strings.CutPrefix(filepath.Clean(path), root); ok && (rest == "" || rest[0] == '/') {
		return "/" + strings.TrimPrefix(rest, "/")
	}
	return filepath.Clean(path)
}

// WakeNeighbours has what others read of the lists brought up to date.
func (h *Host) WakeNeighbours() { executor.Wake(h.ListsChanged) }

// Named returns the entry of a list, or one that has nothing but the name.
func (h *Host) Named(name string) *view.Entry {
	if e := h.Snapshot().List(name); e != nil {
		return e
	}
	return &view.Entry{List: record.List{Name: name}}
}
