// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/rpmdb"
)

// Host is what every room of the daemon stands on: its settings, the machine, and the
// executor, through which alone anything is changed.
type Host struct {
	config config.Config
	log    *slog.Logger
	now    func() time.Time
	exec   *executor.Executor
	maker  atomic.Pointer[maker]
	dir    executor.ListDirectory
	index  index
	Machine
	Signals
	memory  *memory
	serial  atomic.Uint64 // of what writes into the staging directory
	buffers sync.Pool     // *[]byte that lists are read into
}

// Machine is the machine as digestd sees it, of which a test can give another.
type Machine struct {
	root     *kernel.Root
	database func() (packageDatabase, error) // [rpmdb.ErrNoDatabase] where there is none
	keyrings keyrings
	features func() kernel.Features // of the kernel
	unitOf   func(pid uint32) string
}

// Signals wake the loops of rooms.
type Signals struct {
	sync         chan string   // wanted reconciliations, by reason
	ended        chan struct{} // a transaction ended
	timed        chan struct{} // what ends or begins at a certain time may have changed
	listsChanged chan struct{} // what is vouched for may have
	chores       chan struct{} // the state has something left to do
	labelsWanted chan struct{} // labels are to be written
}

func newHost(c config.Config, log *slog.Logger) *Host {
	h := &Host{config: c, log: log, now: time.Now, memory: newMemory(),
		Machine: Machine{keyrings: kernel.NewKeyrings(), features: func() kernel.Features { return kernel.Detect("/") }, unitOf: kernel.UnitOf},
		Signals: Signals{sync: make(chan string, 1), ended: make(chan struct{}, 1), timed: make(chan struct{}, 1),
			listsChanged: make(chan struct{}, 1), chores: make(chan struct{}, 1), labelsWanted: make(chan struct{}, 1)},
	}
	h.database = h.openDatabase
	return h
}

// snapshot is what readers see of the state. Whoever asks for it keeps memory from
// being given back for a while.
func (h *Host) snapshot() *view.Snapshot {
	h.memory.use()
	return h.exec.Published.Load()
}

// locateDB finds the directory of rpm's database.
func (h *Host) locateDB() (string, error) {
	if h.config.DBPath != "" {
		dir := filepath.Join(h.config.Root, h.config.DBPath)
		if _, err := os.Stat(dir); err != nil {
			return "", fmt.Errorf("%w: %w", rpmdb.ErrNoDatabase, err)
		}
		return dir, nil
	}
	return rpmdb.Locate(h.config.Root)
}

// openDatabase opens rpm's database for reading.
func (h *Host) openDatabase() (packageDatabase, error) {
	dir, err := h.locateDB()
	if err != nil {
		return nil, err
	}
	db, err := rpmdb.Open(dir)
	if err != nil {
		return nil, err
	}
	return diskDatabase{db}, nil
}

// wantSync asks for a reconciliation soon; a second wish before it began is the
// same one.
func (h *Host) wantSync(reason string) {
	select {
	case h.sync <- reason:
	default:
	}
}

func (h *Host) databaseStamp() (stamp rpmdb.Stamp) {
	if db, err := h.database(); err == nil {
		stamp, _ = db.Stamp()
	}
	return stamp
}

// eachFile walks the files of a published list.
func (h *Host) eachFile(e *view.Entry, fn func(algo digestlist.Algo, digest, path []byte) error) error {
	buf, ok := h.buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	defer h.buffers.Put(buf)
	data, err := h.dir.Read(e.Name, *buf)
	if err != nil {
		return err
	}
	*buf = data
	return walkList(e.Name, data, fn)
}

func walkList(name string, data []byte, fn func(algo digestlist.Algo, digest, path []byte) error) error {
	format, _, err := ledger.FormatOf(name)
	if err != nil {
		return err
	}
	if body, _, _, err := digestlist.SplitSignature(data); err == nil {
		data = body
	}
	return digestlist.Walk(format, data, fn)
}

// insideRoot turns a path as the caller sees it into one inside the root.
func (h *Host) insideRoot(path string) string {
	root := strings.TrimSuffix(filepath.Clean(h.config.Root), "/")
	if rest, ok := strings.CutPrefix(filepath.Clean(path), root); ok && (rest == "" || rest[0] == '/') {
		return "/" + strings.TrimPrefix(rest, "/")
	}
	return filepath.Clean(path)
}
