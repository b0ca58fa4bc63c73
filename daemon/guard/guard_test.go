// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/kernel/guard"
)

func digest(n uint32) (d guard.Digest) {
	binary.BigEndian.PutUint32(d[:], n)
	return d
}

func serve(t *testing.T, maps protocol.Maps, facts protocol.Facts, uid int) string {
	t.Helper()
	return serveLog(t, maps, facts, new(protocol.Log), uid)
}

func serveLog(t *testing.T, maps protocol.Maps, facts protocol.Facts, l *protocol.Log, uid int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "guard.sock")
	stop, err := guardtest.Serve(path, maps, facts, l, uid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return path
}

func dial(t *testing.T, path string) *protocol.Client {
	t.Helper()
	c, err := protocol.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func enforcing() protocol.Facts {
	return protocol.Facts{Wanted: protocol.Change{Mode: "enforce"}, Most: guard.Enforce, Modules: guard.Audit}
}

func TestChangesReachTheMaps(t *testing.T) {
	maps := guardtest.NewMemory()
	c := dial(t, serve(t, maps, enforcing(), os.Getuid()))
	ctx := t.Context()
	var many []guard.Digest
	for i := range uint32(20_000) { // more than one frame
		many = append(many, digest(i))
	}
	for _, step := range []error{c.Admit(ctx, many), c.Admit(ctx, many[:1]), c.Expel(ctx, many[:2]), c.SetLargest(ctx, 1<<40), c.SetCommit(ctx, 9)} {
		if step != nil {
			t.Fatal(step)
		}
	}
	if maps.Is.Largest != 1<<40 {
		t.Errorf("the largest file has %d bytes", maps.Is.Largest)
	}
	listed, err := c.Listed(ctx, []guard.Digest{many[0], many[1], many[2]})
	if diff := cmp.Diff([]bool{true, false, true}, listed); diff != "" || err != nil {
		t.Errorf("listed: %s, %v", diff, err)
	}
	s, err := c.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := protocol.Status{Mode: "enforce", Wanted: "enforce", Modules: "audit", Commit: 9, Digests: 19_999, Counts: guard.Counts{Checks: 7}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}

func TestReplace(t *testing.T) {
	maps := guardtest.NewMemory()
	maps.Lists[digest(1<<31)] = 1
	c := dial(t, serve(t, maps, enforcing(), os.Getuid()))
	const many = 30_000
	all := func(yield func(guard.Digest, uint32) bool) {
		for i := range uint32(many) {
			if !yield(digest(i), i%3+1) {
				return
			}
		}
	}
	if err := c.Replace(t.Context(), 5, many, all); err != nil {
		t.Fatal(err)
	}
	if len(maps.Lists) != many || maps.Lists[digest(4)] != 2 || maps.At != 5 {
		t.Errorf("%d digests, the fifth of %d lists, commit %d", len(maps.Lists), maps.Lists[digest(4)], maps.At)
	}
	// More than were announced: nothing is replaced, and the connection ends.
	if err := c.Replace(t.Context(), 6, many-1, all); err == nil {
		t.Error("more digests than announced were taken")
	}
	if len(maps.Lists) != many || maps.At != 0 {
		t.Errorf("after it: %d digests, commit %d; want the old ones, and 0", len(maps.Lists), maps.At)
	}
}

// A client that goes away in the middle has not replaced anything, and others go on.
func TestReplaceCutShort(t *testing.T) {
	maps := guardtest.NewMemory()
	maps.Lists[digest(1)] = 1
	path := serve(t, maps, enforcing(), os.Getuid())
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte{1, 5, 0, 0, 0, 0, 0, 4, 0, 0, 0, 9}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(append([]byte{1, 6, 0, 0, 0, 0, 0, 36}, make([]byte, 20)...)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	listed, err := dial(t, path).Listed(t.Context(), []guard.Digest{digest(1)})
	if err != nil || !listed[0] {
		t.Errorf("listed: %v, %v", listed, err)
	}
}

// Nothing is enforced that was not compared with the index, or where there is a doubt.
func TestModes(t *testing.T) {
	for name, test := range map[string]struct {
		facts  protocol.Facts
		is     guard.Mode // before digestd-guard starts
		commit uint64
		want   []string // mode at the start, after a commit
		why    string   // at the end
	}{
		"first start":        {facts: enforcing(), want: []string{"audit", "enforce"}},
		"restart":            {facts: enforcing(), is: guard.Enforce, commit: 3, want: []string{"enforce", "enforce"}},
		"killed in a change": {facts: enforcing(), is: guard.Enforce, want: []string{"enforce", "enforce"}},
		"audit wanted": {facts: protocol.Facts{Wanted: protocol.Change{Mode: "audit"}, Most: guard.Enforce}, is: guard.Enforce, commit: 3,
			want: []string{"audit", "audit"}},
		"command line": {facts: protocol.Facts{Wanted: protocol.Change{Mode: "enforce"}, Most: guard.Audit}, is: guard.Enforce, commit: 3,
			want: []string{"audit", "audit"}, why: "digestd.guard=audit is on the kernel's command line"},
		"doubt": {facts: protocol.Facts{Wanted: protocol.Change{Mode: "enforce"}, Most: guard.Enforce, Doubt: "no hash"}, is: guard.Enforce,
			want: []string{"audit", "audit"}, why: "no hash"},
	} {
		t.Run(name, func(t *testing.T) {
			maps := guardtest.NewMemory()
			maps.Is.Mode, maps.At = test.is, test.commit
			c := dial(t, serve(t, maps, test.facts, os.Getuid()))
			var got []string
			for range test.want {
				s, err := c.Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, s.Mode)
				if err := c.SetCommit(t.Context(), 4); err != nil {
					t.Fatal(err)
				}
			}
			s, err := c.Status(t.Context())
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil || s.Why != test.why {
				t.Errorf("%s, %v, because %q", diff, err, s.Why)
			}
		})
	}
}

func TestChangeOfMode(t *testing.T) {
	maps := guardtest.NewMemory()
	facts := enforcing()
	facts.Wanted.Mode = "audit"
	c := dial(t, serve(t, maps, facts, os.Getuid()))
	enforce := protocol.Change{Mode: "enforce", Trial: time.Minute}
	if err := c.Change(t.Context(), enforce); !errors.Is(err, protocol.ErrRefused) || !strings.Contains(err.Error(), "has not compared") {
		t.Errorf("before a comparison: %v", err)
	}
	if err := c.SetCommit(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []protocol.Change{{Mode: "strict"}, {Mode: "audit", Trial: time.Second}, {Mode: "enforce", Trial: -1}, {Mode: "enforce", Trial: 1 << 60}} {
		if err := c.Change(t.Context(), bad); !errors.Is(err, protocol.ErrRefused) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := c.Change(t.Context(), enforce); err != nil || maps.Is.Mode != guard.Enforce || maps.Is.Trial != time.Minute {
		t.Errorf("%v, %+v", err, maps.Is)
	}
	maps.Is.Mode, maps.Is.Trial = guard.Audit, 0 // as the kernel does after it
	if err := c.SetCommit(t.Context(), 2); err != nil || maps.Is.Mode != guard.Audit {
		t.Errorf("a commit after a trial: %v, %v", err, maps.Is.Mode)
	}
	s, err := c.Status(t.Context())
	if err != nil || s.Why != "the trial has ended" {
		t.Errorf("%+v, %v", s, err)
	}
}

// A trial that its owner confirms lasts; one that has ended does not begin again by that.
func TestConfirm(t *testing.T) {
	maps := guardtest.NewMemory()
	maps.At = 1
	facts := enforcing()
	facts.Wanted.Mode, facts.Doubt = "audit", ""
	c := dial(t, serve(t, maps, facts, os.Getuid()))
	confirm := protocol.Change{Mode: "enforce", Confirm: true}
	if err := c.Change(t.Context(), confirm); !errors.Is(err, protocol.ErrRefused) || maps.Is.Mode != guard.Audit {
		t.Errorf("without a trial: %v, %+v", err, maps.Is)
	}
	if err := c.Change(t.Context(), protocol.Change{Mode: "enforce", Trial: time.Minute}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []protocol.Change{{Mode: "audit", Confirm: true}, {Mode: "enforce", Confirm: true, Trial: time.Minute},
		{Mode: "audit", For: &protocol.For{Unit: strings.Repeat("x", 257)}}} {
		if err := c.Change(t.Context(), bad); !errors.Is(err, protocol.ErrRefused) || maps.Is.Trial != time.Minute {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := c.Change(t.Context(), confirm); err != nil || maps.Is.Mode != guard.Enforce || maps.Is.Trial != 0 {
		t.Errorf("%v, %+v", err, maps.Is)
	}
	if err := c.Change(t.Context(), confirm); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("confirmed twice: %v", err)
	}
	if err := c.SetCommit(t.Context(), 2); err != nil || maps.Is.Mode != guard.Enforce {
		t.Errorf("a commit after it: %v, %v", err, maps.Is.Mode)
	}
}

func TestFailuresAreAnswered(t *testing.T) {
	maps := guardtest.NewMemory()
	maps.Fail = errors.New("no room: " + strings.Repeat("x", 10_000))
	c := dial(t, serve(t, maps, enforcing(), os.Getuid()))
	if err := c.Admit(t.Context(), []guard.Digest{digest(1)}); !errors.Is(err, protocol.ErrRefused) || !strings.Contains(err.Error(), "no room") {
		t.Errorf("admit: %v", err)
	}
	if err := c.SetCommit(t.Context(), 0); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("commit 0: %v", err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("the connection does not go on: %v", err)
	}
}

func TestOthersAreNotServed(t *testing.T) {
	c, err := net.Dial("unix", serve(t, guardtest.NewMemory(), enforcing(), os.Getuid()+1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("another user got %d bytes, %v", n, err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	path := serve(t, guardtest.NewMemory(), enforcing(), os.Getuid())
	for range 16 {
		if _, err := dial(t, path).Status(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dial(t, path).Status(t.Context()); err == nil {
		t.Error("one connection too many was served")
	}
}

// Bytes that are no frame end the connection, and nothing else.
func TestBadFrames(t *testing.T) {
	path := serve(t, guardtest.NewMemory(), enforcing(), os.Getuid())
	for name, frame := range map[string]string{
		"version":            "\x02\x01\x00\x00\x00\x00\x00\x00",
		"kind":               "\x01\x70\x00\x00\x00\x00\x00\x00",
		"answer":             "\x01\x80\x00\x00\x00\x00\x00\x00",
		"reserved":           "\x01\x01\x00\x01\x00\x00\x00\x00",
		"length":             "\x01\x02\x00\x00\xff\xff\xff\xff",
		"half a digest":      "\x01\x02\x00\x00\x00\x00\x00\x01x",
		"short commit":       "\x01\x04\x00\x00\x00\x00\x00\x01x",
		"part before":        "\x01\x06\x00\x00\x00\x00\x00\x00",
		"end before":         "\x01\x07\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x01",
		"settings":           "\x01\x08\x00\x00\x00\x00\x00\x01{",
		"number of digests":  "\x01\x05\x00\x00\x00\x00\x00\x01x",
		"status with a text": "\x01\x01\x00\x00\x00\x00\x00\x01x",
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, frame); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || os.IsTimeout(err) {
			t.Errorf("%s: %d bytes, %v; want the end of the connection", name, n, err)
		}
		c.Close()
	}
	if _, err := dial(t, path).Status(t.Context()); err != nil {
		t.Errorf("others: %v", err)
	}
}

func TestLogSumsUp(t *testing.T) {
	var l protocol.Log
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := digest(1)
	e := &guard.Event{Act: guard.Execute, Reason: guard.Unlisted, Digest: &d, Path: "/a", Refused: true, File: guard.FileID{Inode: 1},
		Process: guard.Process{PID: 2, Parent: 1, UID: 3, Command: "sh"}}
	if !l.Add(e, at, "a.service") {
		t.Error("the first is not new")
	}
	copied := *e
	copied.Path, copied.File.Inode, copied.Refused = "/b", 2, false
	if l.Add(&copied, at.Add(time.Second), "b.service") {
		t.Error("a copy of the same content is new")
	}
	unhashed := guard.Event{Act: guard.Map, Reason: guard.Written, File: guard.FileID{Inode: 1}}
	if !l.Add(&unhashed, at, "") {
		t.Error("another reason is not new")
	}
	other := unhashed
	other.File.Inode = 9
	if !l.Add(&other, at, "") {
		t.Error("another file without a digest is not new")
	}
	l.SetLost(4)
	got := l.Denials()
	if len(got.All) != 3 || got.Lost != 4 {
		t.Fatalf("%+v", got)
	}
	want := protocol.Denial{
		First: at, Last: at.Add(time.Second), Count: 2, Refused: 1, Act: "exec", Reason: "unlisted",
		Digest: "00000001" + strings.Repeat("00", 28), Path: "/b", Inode: 2,
		By: protocol.By{PID: 2, Parent: 1, UID: 3, Command: "sh", Unit: "b.service"},
	}
	if diff := cmp.Diff(want, got.All[2]); diff != "" {
		t.Error(diff)
	}
}

// However many contents are refused, the sums stay bounded, fit into an answer, and
// the latest are there.
// Refusals are counted by the hour, also when the clock goes back.
func TestLogCountsHours(t *testing.T) {
	var l protocol.Log
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	add := func(at time.Time, refused bool) { l.Add(&guard.Event{Refused: refused, Path: "/tmp/\xff"}, at, "") }
	add(noon.Add(90*time.Minute), true)
	add(noon.Add(10*time.Minute), false)
	add(noon.Add(59*time.Minute), true)
	want := []protocol.Hour{{Start: noon, Refused: 1, Allowed: 1}, {Start: noon.Add(time.Hour), Refused: 1}}
	if diff := cmp.Diff(want, l.Denials().Hours); diff != "" {
		t.Error(diff)
	}
	if d := l.Denials().All[0]; string(d.RawPath) != "/tmp/\xff" {
		t.Errorf("the bytes of the path are %q", d.RawPath)
	}
	for i := range 400 {
		add(noon.Add(time.Duration(i)*time.Hour), true)
	}
	add(noon, true)
	hours := l.Denials().Hours
	if len(hours) != 7*24 || !slices.IsSortedFunc(hours, func(a, b protocol.Hour) int { return a.Start.Compare(b.Start) }) ||
		!hours[len(hours)-1].Start.Equal(noon.Add(399*time.Hour)) {
		t.Errorf("%d hours, from %v to %v", len(hours), hours[0].Start, hours[len(hours)-1].Start)
	}
}

func TestLogIsBounded(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const many = 2000
	// A user chooses all texts, that of the unit by making a cgroup of that name.
	for unit, want := range map[string]string{
		strings.Repeat("\xff", 249) + ".scope": "", strings.Repeat("\x01", 249) + ".scope": "", strings.Repeat("a", 1000) + ".scope": "",
		strings.Repeat("\\", 249) + ".scope": strings.Repeat("\\", 249) + ".scope", `a-b_c:d@\x20.scope`: `a-b_c:d@\x20.scope`, "": "",
	} {
		var l protocol.Log
		for i := range uint32(many) {
			d := digest(i)
			l.Add(&guard.Event{Act: guard.Execute, Reason: guard.Unlisted, Digest: &d, Path: strings.Repeat("\xff", 383),
				Process: guard.Process{PID: 1 << 31, Parent: 1 << 31, UID: 1 << 31, Command: strings.Repeat("\x01", 15)}}, at.Add(time.Duration(i)), unit)
		}
		got := l.Denials()
		if len(got.All) != 512 || got.Dropped != many-512 || !strings.HasPrefix(got.All[511].Digest, "000007cf") || got.All[511].By.Unit != want {
			t.Errorf("%.20q: %d sums, %d dropped, the latest %s by %q", unit, len(got.All), got.Dropped, got.All[len(got.All)-1].Digest, got.All[511].By.Unit)
		}
		path := serveLog(t, guardtest.NewMemory(), enforcing(), &l, os.Getuid())
		answer, err := dial(t, path).Denials(t.Context())
		if err != nil || len(answer.All) != 512 {
			t.Errorf("%.20q: %d sums were answered, %v", unit, len(answer.All), err)
		}
	}
}
