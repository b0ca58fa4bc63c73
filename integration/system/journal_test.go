// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/audit/journaltest"
	"github.com/digestd/digestd/integration/pkgtest"
)

// startRecorded is a machine with a journald of its own.
func startRecorded(t *testing.T) (*machine, *journaltest.Journal) {
	t.Helper()
	journal := journaltest.New(t)
	journal.Start()
	m := newMachine(t)
	m.Config = []string{fmt.Sprintf("audit-trail = %q\n", journal.Dir())}
	m.importKey("vendor")
	m.Start()
	return m, journal
}

// decisions is the log by its kinds and packages, the oldest first.
func (m *machine) decisions(args ...string) []api.Event {
	m.Helper()
	var doc struct{ Events []api.Event }
	m.OK(json.Unmarshal([]byte(m.Must(append([]string{"log", "--json", "-n", "0"}, args...)...)), &doc))
	slices.Reverse(doc.Events)
	return doc.Events
}

// recorded waits until the journal has every decision there is, at least once
// each and in order, and returns how many came more than once.
func (m *machine) recorded(journal *journaltest.Journal) (again int) {
	m.Helper()
	var have []string
	complete := func() bool {
		have = nil
		again = 0
		seen := map[string]bool{}
		for _, r := range journal.Records("digestd") {
			seq := r["DIGESTD_SEQ"]
			if seen[seq] {
				again++
				continue
			}
			seen[seq] = true
			have = append(have, seq)
		}
		return slices.Equal(have, m.numbers())
	}
	if !pkgtest.Await(complete) {
		m.Fatalf("the journal has %v\nof %v\n%s", have, m.numbers(), m.Log())
	}
	return again
}

func (m *machine) numbers() (seqs []string) {
	for _, e := range m.decisions() {
		seqs = append(seqs, strconv.FormatUint(e.Seq, 10))
	}
	return seqs
}

// Every decision is a record in the journal, with what it was about and who did
// it.
func TestJournalHasDecisions(t *testing.T) {
	m, journal := startRecorded(t)
	m.build("tool-1-1.noarch")
	m.build("tool-2-1.noarch")
	m.RPM("-i", "tool-2-1.noarch.rpm")
	if out, err := m.RPMCommand("-U", "--oldpackage", "tool-1-1.noarch.rpm").CombinedOutput(); err == nil {
		t.Fatalf("an older version was let in:\n%s", out)
	}
	m.Must("floor", "set", "tool.noarch", "2-1", "--reason", "ticket 4711")
	if again := m.recorded(journal); again > 0 {
		t.Errorf("%d records came more than once", again)
	}
	byKind := map[string]map[string]string{}
	for _, r := range journal.Records("digestd") {
		byKind[r["DIGESTD_KIND"]] = r
	}
	published := byKind["published"]
	lists := m.Names()
	shown := m.Status()
	for name, want := range map[string]string{
		"MESSAGE_ID": audit.Lookup("published").ID, "DIGESTD_NEVRA": "tool-0:2-1.noarch", "DIGESTD_PACKAGE": "tool", "DIGESTD_LIST": lists[0],
		"DIGESTD_COUNTER": strconv.FormatUint(shown.Counter, 10), "DIGESTD_ACTOR_UID": "0", "PRIORITY": "6",
	} {
		if published[name] != want {
			t.Errorf("published: %s is %q, want %q", name, published[name], want)
		}
	}
	if len(published["DIGESTD_LIST_DIGEST"]) != 64 || len(published["DIGESTD_KEY"]) != 40 || published["DIGESTD_ACTOR_PID"] == "" {
		t.Errorf("published: %v", published)
	}
	refused := byKind["rollback-refused"]
	if refused["DIGESTD_NEVRA"] != "tool-0:1-1.noarch" || refused["DIGESTD_REASON"] == "" || refused["PRIORITY"] != "4" || refused["DIGESTD_ACTOR_PID"] == "" {
		t.Errorf("refused: %v", refused)
	}
	if floor := byKind["floor-set"]; floor["DIGESTD_PACKAGE"] != "tool" || floor["DIGESTD_REASON"] != "0:2-1" || floor["DIGESTD_NEVRA"] != "" {
		t.Errorf("floor: %v", floor)
	}
}

// Records wait in the index while the journal is away, and come once it is back:
// each of them, in order, whatever ends in between.
func TestJournalGoesAndComes(t *testing.T) {
	m, journal := startRecorded(t)
	for _, name := range []string{"a-1-1.noarch", "b-1-1.noarch", "c-1-1.noarch", "d-1-1.noarch"} {
		m.build(name)
	}
	install := func(name string) { t.Helper(); m.RPM("-i", name+"-1-1.noarch.rpm") }
	install("a")
	if again := m.recorded(journal); again > 0 {
		t.Errorf("%d records came more than once", again)
	}

	journal.Kill()
	install("b")
	if !pkgtest.Await(func() bool {
		return slices.ContainsFunc(m.Status().Problems, func(p api.Problem) bool { return p.ID == "journal" })
	}) {
		t.Errorf("nobody is told that the journal is away: %+v", m.Status().Problems)
	}
	// digestctl reads the index.
	if log := m.decisions("--package", "b", "--kind", "published"); len(log) != 1 {
		t.Errorf("the log has %+v", log)
	}
	journal.Start()
	again := m.recorded(journal)
	if !pkgtest.Await(func() bool {
		return !slices.ContainsFunc(m.Status().Problems, func(p api.Problem) bool { return p.ID == "journal" })
	}) {
		t.Errorf("the journal is back, and status says: %+v", m.Status().Problems)
	}

	// A digestd that is ended in order knows what was taken.
	m.Stop()
	m.Start()
	if n := m.recorded(journal); n != again {
		t.Errorf("%d records came again by a restart", n-again)
	}

	// One that is killed while the journal is away loses nothing either.
	journal.Kill()
	install("c")
	m.Kill()
	m.Start()
	journal.Start()
	m.recorded(journal)

	// Nor does a journal that is killed while it is written to.
	resume := journal.Pause()
	install("d")
	m.RPM("-e", "a", "b")
	journal.Kill()
	resume()
	journal.Start()
	m.recorded(journal)

	// Records that come again after a crash do so once, not at every start.
	restart := func() int {
		t.Helper()
		m.Kill()
		before := strings.Count(m.Log(), "records are safe")
		m.Start()
		m.RPM("-e", "c") // something that must be recorded
		m.RPM("-i", "c-1-1.noarch.rpm")
		if !pkgtest.Await(func() bool { return strings.Count(m.Log(), "records are safe") > before }) {
			t.Fatalf("never confirmed\n%s", m.Log())
		}
		return m.recorded(journal)
	}
	first := restart()
	for range 2 {
		if n := restart(); n > first+4 {
			t.Errorf("%d records came more than once, then %d", first, n)
		} else {
			first = n
		}
	}
}

// digestctl log --follow prints what is decided, across restarts of digestd.
func TestLogFollows(t *testing.T) {
	m := start(t)
	m.build("a-1-1.noarch")
	m.build("b-1-1.noarch")
	cmd := m.Digestctl("log", "--follow", "--json", "--kind", "[pw]*")
	out, err := cmd.StdoutPipe()
	m.OK(err)
	m.OK(cmd.Start())
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	events := follow(out)
	next := func(kind, pkg string) {
		t.Helper()
		select {
		case e := <-events:
			if e.Kind != kind || e.Package != pkg {
				t.Errorf("got %s of %s, want %s of %s", e.Kind, e.Package, kind, pkg)
			}
		case <-time.After(2 * pkgtest.Patience):
			t.Fatalf("never heard of %s of %s", kind, pkg)
		}
	}
	m.RPM("-i", "a-1-1.noarch.rpm")
	next("published", "a-0:1-1.noarch")
	m.Stop()
	m.Start()
	m.RPM("-i", "b-1-1.noarch.rpm")
	next("published", "b-0:1-1.noarch")
	m.RPM("-e", "a")
	next("withdrawn", "a-0:1-1.noarch")
}

func follow(out io.Reader) <-chan api.Event {
	events := make(chan api.Event, 100)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e api.Event
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				events <- e
			}
		}
	}()
	return events
}

// A journal that hangs cannot hold up a package manager.
func TestJournalThatHangs(t *testing.T) {
	m, journal := startRecorded(t)
	m.build("a-1-1.noarch")
	defer journal.Pause()()
	done := make(chan error, 1)
	go func() {
		out, err := m.RPMCommand("-i", "a-1-1.noarch.rpm").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(2 * pkgtest.Patience):
		t.Fatal("rpm waits for the journal")
	}
	if log := m.decisions("--package", "a"); len(log) != 1 {
		t.Errorf("the log has %+v", log)
	}
}
