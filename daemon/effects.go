// SPDX-License-Identifier: Apache-2.0

package daemon

import "github.com/digestd/digestd/store"

// directoryEffects are what the state does to the list directory and sees of it.
// That is a [store.Dir], except where a test makes effects fail.
type directoryEffects interface {
	Publish(s store.Staged, name string, poke bool) error
	PublishKeeping(s store.Staged, name string) (old store.Staged, err error)
	Remove(name string) error
	TakeOut(name string) (store.Staged, error)
	RemoveMany(names []string, out func()) (contents [][]byte, errs []error)
	Quarantine(name, stamp string) (string, error)
	Discard(s store.Staged)
	Poke() error
	SetPrefetch(on bool) error

	Sync(names ...string) error
	SyncLists(names []string) error
	SyncAll() error
	Dirty() bool

	CheckPath() error
	Hold(names []string) (fresh []string, err error)
	InQuarantine(name string) bool
	Size(name string, most int64) (int64, error)
	Names() ([]string, error)
	On(dev uint64) bool
	Path() string
	QuarantinePath() string
	Read(name string, buf []byte) ([]byte, error)
	Stat(name string) (store.Stamp, error)
}

// indexEffects are what the state does to the index and sees of it: a
// [store.Index], except where a test makes effects fail.
type indexEffects interface {
	Commit(b *store.Batch) error
	Counter() uint64
	Load() (store.Content, error)
	EachKind(fn func(seq uint64, kind string)) error
	EachEvent(before uint64, fn func(store.Event) bool) error
	EventsAfter(seq uint64, limit int) ([]store.Event, error)
	Settle() error
	Restored() bool
	Behind() error
}
