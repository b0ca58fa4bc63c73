// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"github.com/digestd/digestd/store/record"
)

// directoryEffects are what the executor does to the list directory and sees of it.
// That is a [listdir.Dir], except where a test makes effects fail.
type directoryEffects interface {
	Publish(s record.Staged, name string, poke bool) error
	PublishKeeping(s record.Staged, name string) (old record.Staged, err error)
	Remove(name string) error
	TakeOut(name string) (record.Staged, error)
	RemoveMany(names []string, out func()) (contents [][]byte, errs []error)
	Quarantine(name, stamp string) (string, error)
	Discard(s record.Staged)
	Poke() error
	SetPrefetch(on bool) error

	Sync(names ...string) error
	SyncLists(names []string) error
	SyncAll() error
	Dirty() bool

	CheckPath() error
	Hold(names []string) (fresh []string, err error)
	Quarantined() ([]string, error)
	QuarantinedSize(name string, most int64) (int64, error)
	Size(name string, most int64) (int64, error)
	Names() ([]string, error)
	On(dev uint64) bool
	Path() string
	QuarantinePath() string
	Read(name string, buf []byte) ([]byte, error)
	Stat(name string) (record.Stamp, error)
}

// IndexEffects are what the executor does to the index and sees of it: a
// [store.Index], except where a test makes effects fail.
type IndexEffects interface {
	Commit(b *record.Batch) error
	Counter() uint64
	Load() (record.Content, error)
	EachKind(fn func(seq uint64, kind string)) error
	EachEvent(before uint64, fn func(record.Event) bool) error
	EventsAfter(seq uint64, limit int) ([]record.Event, error)
	EachEntry(begin func(chain []byte), fn func(seq uint64, value []byte)) error
	Settle() error
	Restored() bool
	Behind() error
}

// ListDirectory is the list directory for all: the state, those who prepare lists beside
// it, and those who read them. It is a [diskDirectory], except where a test gives
// another.
type ListDirectory interface {
	directoryEffects
	Stager(prefix string) Stager
	SyncStaged(s record.Staged) error
	Announce(names []string) error
	Unheld() []string
	Close() error
}

// Stager writes lists that wait for their names, for one goroutine; see [listdir.Stager].
type Stager interface {
	Write(parts ...[]byte) (record.Staged, error)
	Discard(s *record.Staged)
}
