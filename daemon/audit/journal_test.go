// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/audit/journaltest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
)

// journald has the decision as it was made, regardless of the name of a package.
func TestJournald(t *testing.T) {
	needs.Root(t)
	journal := journaltest.New(t)
	writer := audit.NewJournal(journal.Dir())
	defer writer.Close()
	if err := writer.Send(refusal); err == nil {
		t.Fatal("sent to nobody")
	}
	journal.Start()
	hostile := record.Event{Seq: 8, When: refusal.When, Kind: "withheld", Package: "evil\nMESSAGE_ID=0\n\x1b[2J-1-1.noarch",
		Text: strings.Repeat("x", 100_000), Reason: "a\nPRIORITY=0"}
	for _, e := range []record.Event{refusal, hostile} {
		if err := writer.Send(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	records := journal.Records("digestd")
	if len(records) != 2 {
		t.Fatalf("journald has %d records: %v", len(records), records)
	}
	ours := func(record map[string]string) map[string]string {
		kept := maps.Clone(record)
		maps.DeleteFunc(kept, func(name, _ string) bool {
			return strings.HasPrefix(name, "_") || name == "SYSLOG_IDENTIFIER"
		})
		return kept
	}
	want := map[string]string{
		"MESSAGE":             "bash-0:5.1-2.x86_64 was refused: it is older than the version that was active here: 5.2-1 was active",
		"MESSAGE_ID":          audit.Lookup("rollback-refused").ID,
		"PRIORITY":            "4",
		"DIGESTD_KIND":        "rollback-refused",
		"DIGESTD_SEQ":         "7",
		"DIGESTD_WHEN":        "2026-01-02T03:04:05.000006Z",
		"DIGESTD_PACKAGE":     "bash",
		"DIGESTD_NEVRA":       "bash-0:5.1-2.x86_64",
		"DIGESTD_LIST":        "tlv-bash",
		"DIGESTD_LIST_DIGEST": "0102" + strings.Repeat("00", 30),
		"DIGESTD_KEY":         "4fe2",
		"DIGESTD_COUNTER":     "9",
		"DIGESTD_REASON":      "rollback",
		"DIGESTD_TEXT":        "bash-0:5.1-2.x86_64: 5.2-1 was active",
		"DIGESTD_ACTOR_UID":   "5",
		"DIGESTD_ACTOR_PID":   "6",
		"DIGESTD_ACTOR_UNIT":  "session-3.scope",
	}
	if diff := cmp.Diff(want, ours(records[0])); diff != "" {
		t.Error(diff)
	}
	got := records[1]
	if got["MESSAGE_ID"] != audit.Lookup("withheld").ID || got["PRIORITY"] != "4" || got["DIGESTD_REASON"] != hostile.Reason ||
		got["DIGESTD_PACKAGE"] != hostile.Package || strings.ContainsAny(got["MESSAGE"], "\n\x1b") {
		t.Errorf("a hostile name came out as %.300q", ours(got))
	}
}

// A journald that was restarted gets what follows; one that ended before it
// confirmed is not believed.
func TestJournaldRestarts(t *testing.T) {
	needs.Root(t)
	journal := journaltest.New(t)
	journal.Start()
	writer := audit.NewJournal(journal.Dir())
	defer writer.Close()
	send := func(seq uint64) error { return writer.Send(record.Event{Seq: seq, Kind: "verified"}) }
	if err := send(1); err != nil {
		t.Fatal(err)
	}
	if err := writer.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	journal.Kill()
	if err := send(2); err == nil {
		t.Error("sent to nobody")
	}
	if err := writer.Confirm(t.Context()); !errors.Is(err, audit.ErrLost) {
		t.Errorf("nobody confirmed: %v", err)
	}
	journal.Start()
	if err := send(2); err != nil {
		t.Fatal(err)
	}
	if err := writer.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Records in a socket are lost with it, and the next journald knows nothing of them.
	resume := journal.Pause()
	for _, lose := range []func() error{func() error { return writer.Confirm(t.Context()) }, func() error { return send(4) }} {
		if err := send(3); err != nil {
			t.Fatal(err)
		}
		journal.Kill()
		resume()
		journal.Start()
		if err := lose(); !errors.Is(err, audit.ErrLost) {
			t.Errorf("nobody noticed: %v", err)
		}
		resume = journal.Pause()
	}
	resume()
	var seqs []string
	for _, r := range journal.Records("digestd") {
		seqs = append(seqs, r["DIGESTD_SEQ"])
	}
	if !slices.Equal(seqs, []string{"1", "2"}) {
		t.Errorf("journald has %v", seqs)
	}
}

// Names are such as journald takes, and values such as fit into a datagram.
func TestRecordIsBounded(t *testing.T) {
	name := regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
	long := strings.Repeat("\xc3\xa4", 1<<20)
	e := record.Event{Kind: long, Package: long, List: long, Key: long, Reason: long, Text: long, Unit: long, When: time.Now(),
		Digest: record.Digest{1}, Counter: 1 << 63, PID: 1 << 31, UID: 1 << 31, Seq: 1 << 63}
	manual, err := os.ReadFile("../../docs/man/digestd.8")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, f := range audit.Record(e) {
		if !name.MatchString(f.Name) {
			t.Errorf("%q is no name of a field", f.Name)
		}
		if f.Value == "" || strings.ToValidUTF8(f.Value, "") != f.Value {
			t.Errorf("%s is %.20q", f.Name, f.Value)
		}
		total += len(f.Name) + len(f.Value) + 10
		if strings.HasPrefix(f.Name, "DIGESTD_") && !strings.Contains(string(manual), `\fB`+f.Name+`\fR`) {
			t.Errorf("%s is not in digestd(8)", f.Name)
		}
	}
	if total > 64<<10 {
		t.Errorf("a record has %d bytes", total)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("rollback-refused", "bash-1-1.noarch", "bash-1-1.noarch: no", "why")
	f.Add("first-sync", "", "\x00\xff\n", "")
	f.Fuzz(func(t *testing.T, kind, pkg, text, reason string) {
		m := audit.Message(record.Event{Kind: kind, Package: pkg, Text: text, Reason: reason})
		if strings.ContainsAny(m, "\n\x00\x1b") {
			t.Errorf("%q", m)
		}
		audit.Record(record.Event{Kind: kind, Package: pkg, Text: text, Reason: reason})
	})
}
