// SPDX-License-Identifier: Apache-2.0

package carrier_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/audit/carrier"
	"github.com/digestd/digestd/daemon/audit/journaltest"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/store/record"
)

// journal reads records where journald does, and believes itself: it has no interface by
// which it could be asked whether they are on disk, like journald before systemd 242.
type journal struct {
	conn *net.UnixConn
	once sync.Once // for the end
	mu   sync.Mutex
	got  []string // kind and text of each record
}

// listen takes records in a directory until close is called.
func listen(t *testing.T, dir string) *journal {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "socket"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{conn: conn}
	t.Cleanup(j.close)
	go func() {
		buf := make([]byte, 1<<20)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			if n == 0 {
				continue // somebody asks whether anybody reads
			}
			fields := map[string]string{}
			for line := range strings.Lines(string(buf[:n])) {
				name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
				fields[name] = value
			}
			j.mu.Lock()
			j.got = append(j.got, fields["DIGESTD_KIND"]+" "+fields["DIGESTD_TEXT"])
			j.mu.Unlock()
		}
	}()
	return j
}

// close ends the journal, and takes its socket away.
func (j *journal) close() {
	j.once.Do(func() {
		os.Remove(j.conn.LocalAddr().String())
		j.conn.Close()
	})
}

func (j *journal) records() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.got)
}

func (j *journal) wants(t *testing.T, when string, records ...string) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("%s: the journal has %q, want %q", when, j.records(), records)
		}
	}()
	daemontest.Await(t, when, func() bool { return slices.Equal(j.records(), records) })
}

// machine is one whose log goes to a journal in a directory.
type machine struct {
	*daemontest.Machine
	dir  string
	stop func() // carries the rest, then stops
}

func start(t *testing.T, dir string) *machine {
	t.Helper()
	m := &machine{dir: dir, Machine: daemontest.New(t, func(c *config.Config) { c.AuditTrail = dir })}
	m.carry(t)
	return m
}

// carry starts to bring the log to the journal.
func (m *machine) carry(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	finish := carrier.Start(ctx, m.Host)
	m.stop = sync.OnceFunc(func() {
		cancel()
		finish()
	})
	t.Cleanup(m.stop)
}

// restart stops the daemon as it does in good order, and starts it again.
func (m *machine) restart(t *testing.T) {
	t.Helper()
	m.stop()
	m.Stop()
	m.Start(t)
	m.carry(t)
}

// decide has something decided, of which the log says that text.
func (m *machine) decide(t *testing.T, texts ...string) {
	t.Helper()
	m.Enter(t, func(s *ledger.Ledger) {
		for _, text := range texts {
			s.Event(record.Event{Kind: audit.KindFloorSet, Text: text})
		}
	})
}

func floors(texts ...string) (records []string) {
	for _, text := range texts {
		records = append(records, audit.KindFloorSet+" "+text)
	}
	return records
}

// short is a directory whose path leaves room for the name of a socket.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "journal-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Decisions are carried in order, and once, also across restarts.
func TestDecisionsAreTold(t *testing.T) {
	dir := short(t)
	j := listen(t, dir)
	m := start(t, dir)
	m.decide(t, "one", "two")
	j.wants(t, "decided", floors("one", "two")...)
	m.restart(t)
	m.decide(t, "three")
	j.wants(t, "after a restart", floors("one", "two", "three")...)
}

// If nobody takes records they wait in the index, status says so, and they are told as soon as
// somebody does, also if even the directory was missing.
func TestJournalComesLate(t *testing.T) {
	dir := filepath.Join(short(t), "journal")
	m := start(t, dir)
	m.decide(t, "one")
	daemontest.Await(t, "the problem", func() bool { return strings.Contains(m.Problem("journal").Text, "wait in the index") })
	m.decide(t, "two")
	j := listen(t, dir)
	j.wants(t, "the journal came", floors("one", "two")...)
	daemontest.Await(t, "the end of the problem", func() bool { return m.Problem("journal").Text == "" })
	m.decide(t, "three")
	j.wants(t, "afterwards", floors("one", "two", "three")...)
}

// The next daemon carries the records that the former one could not carry.
func TestDecisionsOutliveTheDaemon(t *testing.T) {
	dir := short(t)
	m := start(t, dir)
	m.decide(t, "one", "two")
	daemontest.Await(t, "the problem", func() bool { return m.Problem("journal").Text != "" })
	began := time.Now()
	m.stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("to stop without a journal took %s", took)
	}
	m.Stop()
	j := listen(t, dir)
	m.Start(t)
	m.carry(t)
	j.wants(t, "after a restart", floors("one", "two")...)
	m.restart(t)
	m.decide(t, "three")
	j.wants(t, "after another", floors("one", "two", "three")...)
}

// A journal that ended before it said that records are safe is not believed: its successor
// gets them, too.
func TestJournalEnds(t *testing.T) {
	dir := short(t)
	first := listen(t, dir)
	asked, err := net.Listen("unix", filepath.Join(dir, "io.systemd.journal")) // and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer asked.Close()
	m := start(t, dir)
	m.decide(t, "one")
	first.wants(t, "decided", floors("one")...)
	first.close()
	asked.Close()
	m.decide(t, "two")
	second := listen(t, dir)
	second.wants(t, "another journal", floors("one", "two")...)
}

// Entries that left the log before they could be carried are reported as missing.
func TestDecisionsAreDropped(t *testing.T) {
	dir := short(t)
	first := listen(t, dir)
	m := start(t, dir)
	m.decide(t, "one")
	first.wants(t, "decided", floors("one")...)
	m.restart(t) // "one" is safe
	first.close()
	const more = 100
	texts := make([]string, state.MaxWaiting+more)
	for i := range texts {
		texts[i] = fmt.Sprint(i)
	}
	m.decide(t, texts...)
	daemontest.Await(t, "the problem", func() bool { return m.Problem("journal").Text != "" })
	second := listen(t, dir)
	daemontest.Await(t, "the last decision", func() bool {
		got := second.records()
		return len(got) > 0 && got[len(got)-1] == floors(texts[len(texts)-1])[0]
	})
	got := second.records()
	lost := len(texts) + 1 - len(got)
	if want := fmt.Sprintf("%s %d of them", audit.KindRecordsLost, lost); got[0] != want || lost < more {
		t.Errorf("the first of %d records is %q, want %q", len(got), got[0], want)
	}
	if want := floors(texts[lost:]...); !slices.Equal(got[1:], want) {
		t.Errorf("what is left is told otherwise, from %q on", got[1])
	}
}

// Without the audit trail no record goes there, and nothing waits for it.
func TestNoTrail(t *testing.T) {
	dir := short(t)
	j := listen(t, dir)
	m := start(t, state.TrailNone)
	m.decide(t, "one")
	m.stop()
	if got := j.records(); len(got) > 0 || m.Problem("journal").Text != "" {
		t.Errorf("told %q: %s", got, m.Problem("journal").Text)
	}
}

// The real journald is asked to have records on disk, once the log rests; from then on they
// are not told again, even if it is killed.
func TestJournaldConfirms(t *testing.T) {
	needs.Root(t)
	needs.Programs(t, "journalctl", "unshare")
	real := journaltest.New(t)
	real.Start()
	m := start(t, real.Dir())
	m.decide(t, "one")
	taken := func() (seq uint64) {
		m.Enter(t, func(s *ledger.Ledger) { seq = s.Taken[state.TakerJournal] })
		return seq
	}
	last := m.Events(t)
	daemontest.Await(t, "the confirmation", func() bool { return taken() == last[len(last)-1].Seq })
	real.Kill()
	m.decide(t, "two")
	daemontest.Await(t, "the problem", func() bool { return m.Problem("journal").Text != "" })
	real.Start()
	texts := func() (all []string) {
		for _, r := range real.Records("digestd") {
			if r["DIGESTD_KIND"] == audit.KindFloorSet {
				all = append(all, r["DIGESTD_TEXT"])
			}
		}
		return all
	}
	daemontest.Await(t, "the second record", func() bool { return slices.Contains(texts(), "two") })
	if got := texts(); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("journald has %q", got)
	}
}
