// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/durable"
	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
)

var when = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func open(t *testing.T, dir string) (*store.Index, store.Recovery) {
	t.Helper()
	ix, rec, err := store.Open(dir)
	if err != nil {
		t.Fatalf("cannot open index: %v", err)
	}
	t.Cleanup(func() { ix.Close() })
	return ix, rec
}

func commit(t *testing.T, ix *store.Index, fill func(*record.Batch)) {
	t.Helper()
	var b record.Batch
	fill(&b)
	if err := ix.Commit(&b); err != nil {
		t.Fatalf("cannot commit: %v", err)
	}
}

func line(counter uint64, high string) record.Line {
	evr, err := nevra.ParseEVR(high)
	if err != nil {
		panic(err)
	}
	return record.Line{Name: "bash", Arch: "x86_64", High: evr, Counter: counter}
}

// raise makes n commits; the line's counter and version follow the commits.
func raise(t *testing.T, ix *store.Index, n int) {
	t.Helper()
	for range n {
		c := ix.Counter() + 1
		commit(t, ix, func(b *record.Batch) { b.PutLine(line(c, fmt.Sprintf("0:%d-1", c))) })
	}
}

func counterOf(t *testing.T, ix *store.Index) uint64 {
	t.Helper()
	c, err := ix.Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Lines) == 0 {
		return 0
	}
	return c.Lines[0].Counter
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	ix, rec := open(t, dir)
	if rec.Fate != store.Fresh {
		t.Errorf("fate of a new index = %d, want Fresh", rec.Fate)
	}
	list := record.List{
		Name: "tlv-bash-0:5.2-1.x86_64", State: record.Active,
		Package: nevra.NEVRA{Name: "bash", EVR: nevra.EVR{Version: "5.2", Release: "1"}, Arch: "x86_64"},
		Header:  record.Digest{1}, Body: record.Digest{2}, File: record.Digest{3},
		Key: "abcd", Files: 7, Counter: 9, Since: when, Granted: true,
	}
	lineRec := line(9, "1:5.2-1")
	lineRec.Grants = []record.Grant{{EVR: nevra.EVR{Version: "5.1", Release: "1"}, Act: record.Act{UID: 4, Reason: "why not", When: when}}}
	retired := record.Retirement{Body: record.Digest{5}, List: "tlv-x", Package: list.Package, When: when, Reason: "replaced"}
	key := record.Key{Fingerprint: "abcd", Owner: "Somebody", FirstSeen: when}
	aside := record.Aside{Name: "x-tlv-evil", List: "tlv-evil", Reason: "foreign", When: when}
	event := record.Event{Seq: 1, When: when, Kind: "granted", Package: "bash"}
	commit(t, ix, func(b *record.Batch) {
		b.PutEvent(event)
		b.PutList(record.List{Name: "gone", State: record.Active})
		b.DeleteList("gone")
		b.PutList(list)
		b.PutLine(lineRec)
		b.PutRetirement(retired)
		b.PutKey(key)
		b.PutAside(aside)
		b.SetMeta("open", []byte("x"))
	})
	ix.Close()
	ix, rec = open(t, dir)
	if rec.Fate != store.Intact {
		t.Errorf("fate = %d, want Intact", rec.Fate)
	}
	c, err := ix.Load()
	if err != nil {
		t.Fatal(err)
	}
	delete(c.Meta, "schema")
	delete(c.Meta, "commit")
	delete(c.Meta, "counter")
	want := record.Content{
		Lists: []record.List{list}, Lines: []record.Line{lineRec}, Keys: []record.Key{key}, Asides: []record.Aside{aside},
		Retired: map[record.Digest]record.Retirement{retired.Body: retired}, NextSeq: 2, LogSize: 1,
		Meta: map[string][]byte{"open": []byte("x")},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	events, total, err := ix.Events(0, 10)
	if err != nil || total != 1 {
		t.Fatalf("%d events, %v", total, err)
	}
	if diff := cmp.Diff([]record.Event{event}, events); diff != "" {
		t.Error(diff)
	}
	if ix.Counter() != 9 {
		t.Errorf("counter = %d, want 9", ix.Counter())
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	started := time.Now()
	if _, _, err := store.Open(dir); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("second open: %v, want ErrLocked", err)
	}
	if waited := time.Since(started); waited > time.Second {
		t.Errorf("refusal took %v", waited)
	}
}

func TestNewerSchemaIsRefusedUntouched(t *testing.T) {
	dir := t.TempDir()
	ix, _ := open(t, dir)
	raise(t, ix, 1)
	ix.Close()
	path := filepath.Join(dir, "index.db")
	setSchema(t, path, store.Schema+1)
	before, _ := os.ReadFile(path)
	if _, _, err := store.Open(dir); !errors.Is(err, store.ErrSchema) {
		t.Fatalf("open: %v, want ErrSchema", err)
	}
	after, _ := os.ReadFile(path)
	if !bytes.Equal(before, after) {
		t.Error("an index of a newer schema was altered")
	}
}

// newestMeta returns the file offset of the meta page that bbolt would use.
func newestMeta(t *testing.T, data []byte) int {
	t.Helper()
	page := os.Getpagesize()
	// Page header 16 bytes, then magic, version, page size, flags (u32 each),
	// root bucket (16), freelist, high water mark, txid (u64 each).
	txid := func(n int) uint64 { return binary.LittleEndian.Uint64(data[n*page+16+16+16+16:]) }
	if txid(0) > txid(1) {
		return 0
	}
	return page
}

// TestRollback damages or replaces the database and states what must be known
// and kept afterwards.
func TestRollback(t *testing.T) {
	for _, test := range []struct {
		name    string
		spoil   func(t *testing.T, path string, earlier []byte)
		fate    store.Fate
		counter uint64 // that the index still knows; the number given out next never falls below 6
		lost    uint64
		aside   bool
	}{
		{"newest meta page damaged", func(t *testing.T, path string, _ []byte) {
			data, _ := os.ReadFile(path)
			data[newestMeta(t, data)+40] ^= 0xff
			write(t, path, data)
		}, store.Repaired, 6, 1, false},
		{"replaced by an earlier copy", func(t *testing.T, path string, earlier []byte) {
			write(t, path, earlier)
		}, store.RolledBack, 6, 2, true},
		{"missing", func(t *testing.T, path string, _ []byte) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, store.Missing, 0, 6, false},
		{"empty", func(t *testing.T, path string, _ []byte) { write(t, path, nil) }, store.Damaged, 0, 6, true},
		{"truncated to half", func(t *testing.T, path string, _ []byte) {
			info, _ := os.Stat(path)
			if err := os.Truncate(path, info.Size()/2); err != nil {
				t.Fatal(err)
			}
		}, store.Damaged, 0, 6, true},
		{"truncated to the meta pages", func(t *testing.T, path string, _ []byte) {
			if err := os.Truncate(path, int64(4*os.Getpagesize())); err != nil {
				t.Fatal(err)
			}
		}, store.Damaged, 0, 6, true},
		{"both meta pages damaged", func(t *testing.T, path string, _ []byte) {
			data, _ := os.ReadFile(path)
			data[40] ^= 0xff
			data[os.Getpagesize()+40] ^= 0xff
			write(t, path, data)
		}, store.Damaged, 0, 6, true},
		{"noise after the meta pages", func(t *testing.T, path string, _ []byte) {
			data, _ := os.ReadFile(path)
			for i := 2 * os.Getpagesize(); i < len(data); i++ {
				data[i] = byte(i * 7)
			}
			write(t, path, data)
		}, store.Damaged, 0, 6, true},
		{"a directory in its place", func(t *testing.T, path string, _ []byte) {
			os.Remove(path)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, store.Damaged, 0, 6, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "index.db")
			ix, _ := open(t, dir)
			raise(t, ix, 3)
			ix.Close()
			earlier, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			ix, _ = open(t, dir)
			raise(t, ix, 3)
			ix.Close()

			test.spoil(t, path, earlier)
			ix, rec := open(t, dir)
			if rec.Fate != test.fate {
				t.Fatalf("fate = %d (%v), want %d", rec.Fate, rec.Cause, test.fate)
			}
			if rec.Lost != test.lost {
				t.Errorf("lost = %d, want %d", rec.Lost, test.lost)
			}
			if _, err := os.Lstat(rec.Aside); (rec.Aside != "" && err == nil) != test.aside {
				t.Errorf("kept aside as %q (%v), want %v", rec.Aside, err, test.aside)
			}
			if got := counterOf(t, ix); got != test.counter {
				t.Errorf("counter of the line = %d, want %d", got, test.counter)
			}
			if ix.Counter() < 6 || ix.Commits() < 6 {
				t.Errorf("numbers fell back to counter %d, commit %d", ix.Counter(), ix.Commits())
			}
			// An opened index works, and continues to.
			raise(t, ix, 1)
			ix.Close()
			ix, rec = open(t, dir)
			if rec.Fate != store.Intact || counterOf(t, ix) != 7 {
				t.Errorf("afterwards: fate %d, counter %d", rec.Fate, counterOf(t, ix))
			}
		})
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestEveryByteDamaged flips bytes all over a database: Open must end with an
// index that works, and never with one that knows less and does not say so.
func TestEveryByteDamaged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "index.db")
	ix, _ := open(t, dir)
	raise(t, ix, 5)
	ix.Close()
	good, _ := os.ReadFile(path)
	journal, _ := os.ReadFile(filepath.Join(dir, "index.commit"))
	for at := 0; at < len(good); at += 17 {
		bad := bytes.Clone(good)
		bad[at] ^= 0x5a
		write(t, path, bad)
		write(t, filepath.Join(dir, "index.commit"), journal)
		ix, rec, err := store.Open(dir)
		if err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		c, err := ix.Load()
		if err != nil {
			t.Errorf("byte %d: opened, but %v", at, err)
		}
		if ix.Counter() < 5 {
			t.Errorf("byte %d: counter fell to %d", at, ix.Counter())
		}
		if !rec.Rebuild() && (len(c.Lines) != 1 || c.Lines[0].Counter != 5 || c.Lines[0].High.Version != "5") {
			t.Errorf("byte %d: fate %d, yet the lines are %v", at, rec.Fate, c.Lines)
		}
		ix.Close()
		asides, _ := filepath.Glob(path + ".aside*")
		for _, a := range asides {
			os.RemoveAll(a)
		}
	}
}

// TestKilledWhileCommitting runs this binary as a writer and kills it again and
// again, mostly after its first commit, and also while it opens the index: whatever it had said
// was committed must be there.
func TestKilledWhileCommitting(t *testing.T) {
	if dir := os.Getenv("STORE_TEST_WRITER"); dir != "" {
		ix, _, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		for {
			c := ix.Counter() + 1
			var b record.Batch
			b.PutLine(line(c, "0:1-1"))
			if err := ix.Commit(&b); err != nil {
				t.Fatal(err)
			}
			fmt.Println(c)
		}
	}
	dir := t.TempDir()
	committed := uint64(0)
	for round := range 12 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileCommitting$")
		cmd.Env = append(os.Environ(), "STORE_TEST_WRITER="+dir)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		said := func() bool {
			if !lines.Scan() {
				return false
			}
			if n, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
				committed = max(committed, n)
			}
			return true
		}
		if opening := round%3 == 0; !opening && !said() {
			t.Errorf("round %d: the writer committed nothing", round)
		}
		time.Sleep(time.Duration(7*round) * time.Millisecond)
		cmd.Process.Kill()
		for said() {
		}
		cmd.Wait()
		ix, rec, err := store.Open(dir)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if rec.Rebuild() {
			t.Errorf("round %d: fate %d (%v)", round, rec.Fate, rec.Cause)
		}
		if got := counterOf(t, ix); got < committed {
			t.Errorf("round %d: counter %d is below %d, which was accepted", round, got, committed)
		}
		ix.Close()
	}
}
