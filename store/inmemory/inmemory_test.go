// SPDX-License-Identifier: Apache-2.0

package inmemory_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/inmemory"
	"github.com/digestd/digestd/store/listdir"
	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
)

// rounds is how many operations of a run are tried, and seeds how many runs.
const rounds, seeds = 300, 6

// index is what both kinds of index can do.
type index interface {
	Commit(*record.Batch) error
	Counter() uint64
	Commits() uint64
	Load() (record.Content, error)
	EachKind(func(uint64, string)) error
	EachEvent(uint64, func(record.Event) bool) error
	EventsAfter(uint64, int) ([]record.Event, error)
	Retired() ([]record.Retirement, error)
	Settle() error
	Restored() bool
	Behind() error
	Close() error
}

var when = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

// change puts something into a batch.
func change(r *rand.Rand, b *record.Batch, seq *uint64) {
	n := r.IntN(4)
	name := fmt.Sprint("name", n)
	evr := nevra.EVR{Version: fmt.Sprint(r.IntN(9)), Release: "1"}
	switch r.IntN(20) {
	case 0, 1:
		b.PutList(record.List{Name: name, State: record.Active, Package: nevra.NEVRA{Name: name, EVR: evr, Arch: "noarch"}, Counter: r.Uint64N(50), Since: when, Denied: []string{"d"}})
	case 2:
		b.PutList(record.List{Name: "own" + name, State: record.Active, Own: name, Version: 1, Change: record.Publishing})
	case 3:
		b.DeleteList(name)
	case 4:
		b.PutLine(record.Line{Name: name, Arch: "noarch", High: evr, Counter: r.Uint64N(50), Grants: []record.Grant{{EVR: evr, Act: record.Act{When: when}}}})
	case 5:
		b.PutRetirement(record.Retirement{Body: record.Digest{byte(n)}, List: name, When: when, Reason: "r"})
	case 6:
		b.DeleteRetirement(record.Digest{byte(n)})
	case 7:
		b.PutKey(record.Key{Fingerprint: name, FirstSeen: when, Revoked: &record.KeyRevocation{Source: "s"}})
	case 8:
		b.PutAside(record.Aside{Name: name, When: when})
	case 9:
		b.DeleteAside(name)
	case 10:
		b.SetMeta(name, []byte{byte(r.IntN(256))})
	case 11:
		b.SetMeta(name, nil)
	case 12:
		b.PutDenial(record.Denial{ID: name, Package: name})
	case 13:
		b.DeleteDenial(name)
	case 14:
		b.PutOwn(record.Own{Name: name, List: "l", Created: when})
	case 15:
		b.PutEvent(record.Event{Seq: *seq, When: when, Kind: "kind" + name, Package: name})
		*seq++
	case 16:
		b.SetTaken(name, r.Uint64N(9))
		b.DropEvent(r.Uint64N(*seq))
	case 17:
		b.PutOrigin(record.Origin{Name: "advisory:" + name, Strength: "unsigned", Keys: []string{"k"}, Made: when})
	case 18:
		b.PutAdvised("advisory:"+name, fmt.Sprint("p", r.IntN(3)), []record.AdvisedFloor{{Origin: "advisory:" + name, Name: name, EVR: evr, Since: when}})
	case 19:
		b.DeleteOrigin("advisory:" + name)
		b.PutAdvised("advisory:"+name, fmt.Sprint("p", r.IntN(3)), nil)
	}
}

// view is all that an index tells.
func view(t *testing.T, x index, at uint64) map[string]any {
	t.Helper()
	c, err := x.Load()
	if err != nil {
		t.Fatal(err)
	}
	// Numbers that the database has of itself.
	maps.DeleteFunc(c.Meta, func(name string, _ []byte) bool { return name == "schema" || name == "commit" || name == "counter" })
	retired, err := x.Retired()
	after, aerr := x.EventsAfter(at, 3)
	var kinds []string
	kerr := x.EachKind(func(seq uint64, kind string) { kinds = append(kinds, fmt.Sprint(seq, kind)) })
	var before, all []record.Event
	eerr := x.EachEvent(at, func(e record.Event) bool { before = append(before, e); return len(before) < 3 })
	lerr := x.EachEvent(0, func(e record.Event) bool { all = append(all, e); return true })
	if err := errors.Join(err, aerr, kerr, eerr, lerr, x.Settle(), x.Behind()); err != nil {
		t.Fatal(err)
	}
	return map[string]any{"content": c, "retired": retired, "after": after, "kinds": kinds, "before": before, "all": all,
		"counter": x.Counter(), "commits": x.Commits(), "restored": x.Restored()}
}

// The index in memory does what that of package store does, also when it is opened
// again.
func TestIndexIsAsOnDisk(t *testing.T) {
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		disk, _, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		inMemory := &inmemory.Index{}
		seq := uint64(1)
		for round := range rounds / 8 {
			var b record.Batch
			for range r.IntN(6) {
				change(r, &b, &seq)
			}
			var other record.Batch
			other.Append(b)
			if derr, merr := disk.Commit(&b), inMemory.Commit(&other); derr != nil || merr != nil {
				t.Fatalf("%v on disk, %v in memory", derr, merr)
			}
			if r.IntN(6) == 0 {
				disk.Close()
				if disk, _, err = store.Open(dir); err != nil {
					t.Fatal(err)
				}
			}
			at := r.Uint64N(seq + 2)
			if diff := cmp.Diff(view(t, disk, at), view(t, inMemory, at)); diff != "" {
				t.Fatalf("seed %d, commit %d: disk and memory differ (-disk +memory):\n%s", seed, round, diff)
			}
		}
		disk.Close()
	}
}

// directory is what both kinds of list directory can do.
type directory interface {
	Publish(s record.Staged, name string, poke bool) error
	PublishKeeping(s record.Staged, name string) (record.Staged, error)
	Remove(name string) error
	TakeOut(name string) (record.Staged, error)
	RemoveMany(names []string, out func()) ([][]byte, []error)
	Quarantine(name, stamp string) (string, error)
	Discard(s record.Staged)
	Poke() error
	Announce([]string) error
	Sync(names ...string) error
	SyncLists(names []string) error
	SyncStaged(record.Staged) error
	SyncAll() error
	Dirty() bool
	CheckPath() error
	Hold(names []string) ([]string, error)
	Unheld() []string
	Quarantined() ([]string, error)
	QuarantinedSize(name string, most int64) (int64, error)
	Size(name string, most int64) (int64, error)
	Names() ([]string, error)
	Read(name string, buf []byte) ([]byte, error)
	Stat(name string) (record.Stamp, error)
}

// names are of lists that are tried; the last is cut short in quarantine.
var names = []string{"tlv-a", "tlv-b", "tlv-c", "tlv-" + strings.Repeat("d", 236)}

// twin does the same to a directory on disk and to one in memory.
type twin struct {
	t            *testing.T
	path         string
	disk, memory directory
	stage        [2]func([]byte) (record.Staged, error)
	staged       [][2]record.Staged
	stamps       map[string][2]record.Stamp // as they were last
	serial       int
}

func (w *twin) open() {
	disk, err := listdir.Open(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.disk != nil {
		if _, err := disk.Sweep(); err != nil {
			w.t.Fatal(err)
		}
		w.memory.(*inmemory.Dir).Reopen()
	} else {
		w.memory = inmemory.NewDir(w.path)
	}
	w.disk, w.staged = disk, nil
	w.serial++
	prefix := fmt.Sprint("p", w.serial)
	onDisk, inMemory := disk.Stager(prefix), w.memory.(*inmemory.Dir).Stager(prefix)
	w.stage[0] = func(b []byte) (record.Staged, error) { return onDisk.Write(b) }
	w.stage[1] = func(b []byte) (record.Staged, error) { return inMemory.Write(b) }
}

// both calls fn with each directory and sees that what it returns is equal, errors as
// far as whether there is one and whether it says that something is not there.
func (w *twin) both(what string, fn func(i int, d directory) (any, error)) {
	w.t.Helper()
	var got [2]any
	var errs [2]error
	for i, d := range []directory{w.disk, w.memory} {
		got[i], errs[i] = fn(i, d)
	}
	if (errs[0] == nil) != (errs[1] == nil) || errors.Is(errs[0], fs.ErrNotExist) != errors.Is(errs[1], fs.ErrNotExist) {
		w.t.Fatalf("%s: %v on disk, %v in memory", what, errs[0], errs[1])
	}
	if errs[0] == nil {
		if diff := cmp.Diff(got[0], got[1]); diff != "" {
			w.t.Fatalf("%s: disk and memory differ (-disk +memory):\n%s", what, diff)
		}
	}
}

// keep remembers what both returned as staged, the zero value if they returned that.
func (w *twin) keep(what string, fn func(i int, d directory) (record.Staged, error)) {
	var kept [2]record.Staged
	w.both(what, func(i int, d directory) (any, error) {
		s, err := fn(i, d)
		kept[i] = s
		return s == record.Staged{}, err
	})
	if kept[0] != (record.Staged{}) {
		w.staged = append(w.staged, kept)
	}
}

// some takes one of what is staged.
func (w *twin) some(r *rand.Rand) (s [2]record.Staged) {
	if len(w.staged) == 0 || r.IntN(12) == 0 {
		return [2]record.Staged{record.StagedAs("absent", 1), record.StagedAs("absent", 1)}
	}
	i := r.IntN(len(w.staged))
	s = w.staged[i]
	w.staged = slices.Delete(w.staged, i, i+1)
	return s
}

func (w *twin) step(r *rand.Rand) {
	name := names[r.IntN(len(names))]
	if r.IntN(12) == 0 {
		name = []string{"../x", ""}[r.IntN(2)]
	}
	path := filepath.Join(w.path, name)
	usable := name != "" && name != "../x"
	switch op := r.IntN(17); op {
	case 0, 1, 2:
		data := bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(40))
		w.keep("stage", func(i int, _ directory) (record.Staged, error) { return w.stage[i](data) })
	case 3, 4:
		s := w.some(r)
		w.both("publish", func(i int, d directory) (any, error) { return nil, d.Publish(s[i], name, op == 3) })
	case 5, 6:
		s := w.some(r)
		w.keep("publish keeping", func(i int, d directory) (record.Staged, error) { return d.PublishKeeping(s[i], name) })
	case 7:
		w.both("remove", func(_ int, d directory) (any, error) { return nil, d.Remove(name) })
	case 8:
		w.keep("take out", func(_ int, d directory) (record.Staged, error) { return d.TakeOut(name) })
	case 9:
		w.both("remove many", func(_ int, d directory) (any, error) {
			out := 0
			contents, errs := d.RemoveMany([]string{name, "tlv-a", "../x"}, func() { out++ })
			failed := make([]bool, len(errs))
			for i, err := range errs {
				failed[i] = err != nil
			}
			return []any{contents, failed, out}, nil
		})
	case 10:
		w.both("quarantine", func(_ int, d directory) (any, error) {
			aside, err := d.Quarantine(name, "now")
			names, nerr := d.Quarantined()
			slices.Sort(names)
			size, serr := d.QuarantinedSize(aside, 1<<20)
			_, none := d.QuarantinedSize("none", 1<<20)
			return []any{aside, names, nerr == nil, size, serr == nil, errors.Is(none, fs.ErrNotExist)}, err
		})
	case 11:
		s := w.some(r)
		w.both("discard", func(i int, d directory) (any, error) { d.Discard(s[i]); return nil, d.SyncStaged(s[i]) })
	case 12:
		held := []string{"tlv-b", name}
		if !usable {
			held = held[:1]
		}
		w.both("hold", func(_ int, d directory) (any, error) {
			fresh, err := d.Hold(held)
			return []any{fresh, d.Unheld()}, err
		})
	case 13:
		w.both("sync lists", func(_ int, d directory) (any, error) {
			return nil, errors.Join(d.SyncLists([]string{"tlv-a"}), d.Poke(), d.Announce([]string{"tlv-a", "tlv-c"}))
		})
		if r.IntN(2) == 0 {
			w.both("sync", func(_ int, d directory) (any, error) { return nil, d.Sync("tlv-a", "tlv-c") })
		} else {
			w.both("sync all", func(_ int, d directory) (any, error) { return nil, d.SyncAll() })
		}
	case 14: // another program writes
		if usable {
			data := bytes.Repeat([]byte{'o'}, r.IntN(9))
			time.Sleep(5 * time.Millisecond) // the clock of a file system is coarse
			if err := os.WriteFile(path, data, 0o644); err != nil {
				w.t.Fatal(err)
			}
			w.memory.(*inmemory.Dir).Put(name, data)
		}
	case 15:
		if usable {
			os.Remove(path)
			w.memory.(*inmemory.Dir).Unlink(name)
		}
	case 16:
		if r.IntN(4) == 0 {
			w.disk.(*listdir.Dir).Close()
			w.open()
		}
	}
}

// look sees that both directories look alike, and that stamps change in both or in
// neither.
func (w *twin) look(step int) {
	w.t.Helper()
	w.both(fmt.Sprint("step ", step), func(_ int, d directory) (any, error) {
		all, err := d.Names()
		slices.Sort(all)
		return []any{strings.Join(all, " "), d.Dirty(), d.CheckPath()}, err
	})
	for _, name := range names {
		w.both("read "+name, func(_ int, d directory) (any, error) {
			data, err := d.Read(name, make([]byte, 0, 4))
			return string(data), err
		})
		w.both("size of "+name, func(_ int, d directory) (any, error) { return d.Size(name, 100) })
		var now [2]record.Stamp
		w.both("stat "+name, func(i int, d directory) (any, error) {
			stamp, err := d.Stat(name)
			now[i] = stamp
			return []any{stamp.Size, stamp.Links, stamp.Regular}, err
		})
		was := w.stamps[name]
		// A file system may give a file that comes the number of one that went.
		if same := now[0] == was[0]; same && now[1] != was[1] && now[0] != (record.Stamp{}) || !same && now[1] == was[1] {
			w.t.Fatalf("step %d: the stamp of %s is on disk %+v after %+v, in memory %+v after %+v", step, name, now[0], was[0], now[1], was[1])
		}
		w.stamps[name] = now
	}
}

// The directory in memory does what that of package store does, also when it is opened
// again.
func TestDirIsAsOnDisk(t *testing.T) {
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 2))
		w := &twin{t: t, path: filepath.Join(t.TempDir(), "lists"), stamps: map[string][2]record.Stamp{}}
		w.open()
		for step := range rounds {
			w.step(r)
			w.look(step)
		}
		w.disk.(*listdir.Dir).Close()
	}
}
