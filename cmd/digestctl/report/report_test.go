// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/doctor"
	"github.com/digestd/digestd/daemon/api"
	"github.com/google/go-cmp/cmp"
)

// facts is a Source from memory.
type facts struct {
	status    api.Status
	lists     []api.List
	files     map[string][]api.File
	decisions []api.Event
	guard     Guarded
}

func (f facts) Status(context.Context) (api.Status, error)      { return f.status, nil }
func (f facts) Keys(context.Context) ([]api.Key, error)         { return []api.Key{}, nil }
func (f facts) Lists(context.Context) ([]api.List, error)       { return f.lists, nil }
func (f facts) Floors(context.Context) ([]api.Floor, error)     { return []api.Floor{}, nil }
func (f facts) Denials(context.Context) ([]api.Denial, error)   { return []api.Denial{}, nil }
func (f facts) GuardDenials(context.Context) (Guarded, error)   { return f.guard, nil }
func (f facts) Verified(context.Context, int) (Verified, error) { return Verified{}, nil }
func (f facts) Why(_ context.Context, path string) (api.Why, error) {
	if strings.HasSuffix(path, "secret") {
		return api.Why{}, errors.New("you may not")
	}
	return api.Why{Verdict: api.VerdictUnknown, Text: "no list includes it"}, nil
}

func (f facts) Decisions(_ context.Context, most int) ([]api.Event, int, error) {
	return f.decisions[:min(most, len(f.decisions))], len(f.decisions), nil
}

func (f facts) Files(_ context.Context, list string, fn func(api.File)) error {
	files, ok := f.files[list]
	if !ok {
		return api.Errorf(api.NotFound, "it went")
	}
	for _, file := range files {
		fn(file)
	}
	return nil
}

func silent(string, uint64, uint64) {}

func gather(t *testing.T, f facts) *Report {
	t.Helper()
	r, err := Gather(t.Context(), f, silent)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func put(t *testing.T, root, path string, mode os.FileMode) {
	t.Helper()
	file := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

// Programs and libraries are counted by where they are, whichever name of /bin
// a list has, and whatever bytes a name holds.
func TestCoverage(t *testing.T) {
	root := t.TempDir()
	put(t, root, "usr/bin/sh", 0o755)
	put(t, root, "usr/bin/own", 0o755)
	put(t, root, "usr/bin/caf\xe9", 0o755)
	put(t, root, "usr/bin/secret", 0o711)
	put(t, root, "usr/lib64/libc.so.6", 0o644)
	put(t, root, "usr/share/doc/readme", 0o644)
	put(t, root, "home/user/game", 0o755)
	if err := os.Symlink("usr/bin", filepath.Join(root, "bin")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sh", filepath.Join(root, "usr/bin/link")); err != nil {
		t.Fatal(err)
	}
	got := gather(t, facts{
		status: api.Status{Root: root},
		lists: []api.List{{Name: "tlv-sh", NEVRA: "sh-1-1.noarch", State: api.StateActive}, {Name: "tlv-libc", NEVRA: "libc-1-1.noarch", State: api.StateActive},
			{Name: "tlv-gone", State: api.StateActive}, {Name: "tlv-own", State: api.StateWithheld}},
		files: map[string][]api.File{
			"tlv-sh":   {{Path: "/bin/sh"}, {Path: "/usr/bin/caf\uFFFD", RawPath: []byte("/usr/bin/caf\xe9")}, {Path: "/usr/share/doc/readme"}},
			"tlv-libc": {{Path: "/usr/lib64/libc.so.6"}},
			"tlv-own":  {{Path: "/usr/bin/own"}},
		},
	}).Coverage
	want := Coverage{
		Executables: 5, Named: 3,
		Directories: []Directory{{"/usr/bin", 4, 2}, {"/usr/lib64", 1, 1}},
		Lists:       []Share{{"tlv-sh", "sh-1-1.noarch", 2}, {"tlv-libc", "libc-1-1.noarch", 1}},
		Unnamed:     []Unnamed{{Path: "/usr/bin/own", Verdict: api.VerdictUnknown, Reason: "no list includes it"}, {Path: "/usr/bin/secret"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAdvise(t *testing.T) {
	r := &Report{
		Status:   api.Status{Lists: api.Counts{Withheld: 1, Quarantined: 2}, Problems: []api.Problem{{ID: "disk", Severity: api.SeverityNotice, Text: "it fills", Advice: "look"}}},
		Coverage: Coverage{Executables: 3, Named: 2, Unnamed: []Unnamed{{Path: "/opt/a b"}}},
		Findings: []doctor.Finding{{Check: "daemon", Verdict: doctor.Fail, Found: "said above"}, {Check: "clock", Verdict: doctor.OK, Found: "fine"},
			{Check: "socket", Verdict: doctor.Fail, Found: "gone", Fix: "systemctl start digestd"}},
	}
	r.Advise()
	want := []Step{
		{api.SeverityError, "socket: gone", "systemctl start digestd", ""},
		{api.SeverityWarning, "2 files are quarantined", "digestctl list quarantined", "find out which program put them there, then remove them"},
		{api.SeverityWarning, "1 package is installed but not vouched for", "digestctl list withheld", ""},
		{api.SeverityNotice, "it fills", "", "look"},
		{api.SeverityNotice, "1 executable is in no active list", "digestctl why '/opt/a b'",
			"make a list of the wanted files: digestctl own add NAME PATH... --reason WHY"},
		{api.SeverityNotice, "files were never compared with the lists", "digestctl verify --all", ""},
	}
	if diff := cmp.Diff(want, r.Next); diff != "" {
		t.Error(diff)
	}
}

func TestTimeline(t *testing.T) {
	made := time.Date(2026, 11, 24, 1, 0, 0, 0, time.UTC)
	v := view{Report: &Report{Made: made, Decisions: []api.Event{
		{When: made, Kind: "granted"}, {When: made, Kind: "rollback-refused"}, {When: made.Add(time.Hour), Kind: "first-sync"},
		{When: made.AddDate(0, 0, -29), Kind: "tampered"},
		{When: made.AddDate(0, 0, -30), Kind: "tampered"}, {When: made.AddDate(0, 0, 1), Kind: "tampered"}, {Kind: "tampered"},
	}}}
	tl := v.Timeline()
	last := tl.Days[days-1]
	if tl.Highest != 3 || last.Refused != 1 || last.Ruled != 1 || last.Others != 1 || tl.Days[0].Refused != 1 || tl.Days[0].Total() != 1 {
		t.Errorf("%+v", tl)
	}
	for _, b := range last.Bars {
		if b.Y < 0 || b.Height < 3 || b.Y+b.Height > barHeight {
			t.Errorf("%+v is not within the chart", b)
		}
	}
}

// values are those of attributes, which hold text.
var values = regexp.MustCompile(`="[^"]*"`)

// loads is what makes a browser load, run or style something.
var loads = regexp.MustCompile(`https?://|url\(|@import|<[a-zA-Z][^<>]*\s(src|srcset|href|style|on[a-z]+)=`)

// A report of nothing is a page, too; and one of what hostile people name things has no element
// and no attribute of theirs. integration/report tests it in browsers.
func TestHTML(t *testing.T) {
	const evil = "</td><script>alert(1)</script><img src=x onerror='alert(2)'>\u202e\x1b[2J"
	var empty, full bytes.Buffer
	if err := (&Report{}).HTML(&empty); err != nil {
		t.Fatal(err)
	}
	r := &Report{
		Host: evil, Made: time.Now(), Status: api.Status{Version: evil, Mode: evil, Root: evil, State: evil}, Next: []Step{{evil, evil, evil, evil}},
		Coverage:  Coverage{Executables: 1, Directories: []Directory{{evil, 1, 0}}, Lists: []Share{{evil, evil, 1}}, Unnamed: []Unnamed{{evil, nil, evil, evil, evil}}},
		Keys:      []api.Key{{Fingerprint: evil, Owner: evil, State: evil, Algorithm: evil, Use: evil, RevokedReason: evil}},
		Lists:     []api.List{{Name: evil, State: api.StateQuarantined, Key: evil, KeyOwner: evil, Text: evil}, {NEVRA: evil, State: api.StateActive, KeyOwner: evil}},
		Floors:    []api.Floor{{Package: evil, EVR: evil, High: evil, Reason: evil}},
		Verified:  Verified{api.Verification{State: evil, Errors: 1, Ended: time.Now()}, []api.Finding{{Path: evil, Kind: evil, Text: evil, Package: evil}}, false},
		Denials:   []api.Denial{{What: evil, Path: evil, Reason: evil, Ticket: evil, By: evil}},
		Decisions: []api.Event{{Kind: evil, When: time.Now(), NEVRA: evil, Text: evil}},
		Findings:  []doctor.Finding{{Check: evil, Verdict: evil, Found: evil, Fix: evil, Advice: evil}},
	}
	if err := r.HTML(&full); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "<img", "onerror='", "\u202e", "\x1b", "ZgotmplZ"} {
		if strings.Contains(full.String(), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if !strings.Contains(full.String(), `\u202e\x1b[2J`) {
		t.Error("what is hidden is not spelled out")
	}
	// Nothing but the style is let through by the policy, and nothing is named to load.
	for _, text := range []string{empty.String(), full.String()} {
		if !strings.Contains(text, `content="default-src &#39;none&#39;; style-src &#39;sha256-`) {
			t.Error("the page has no policy")
		}
		if hit := loads.FindString(values.ReplaceAllString(text, `=""`)); hit != "" {
			t.Errorf("the page has %q", hit)
		}
	}
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		part, whole int
		want        string
	}{{0, 0, "–"}, {0, 3, "0.0 %"}, {9999, 10000, "99.9 %"}, {10000, 10000, "100 %"}} {
		if got := percent(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d is %s", c.part, c.whole, got)
		}
	}
	if got := number(1234567); got != "1\u202f234\u202f567" {
		t.Error(got)
	}
}

// The guard's refusals have a chart by hours and a table, and no name among them is more
// than text.
func TestGuardOnThePage(t *testing.T) {
	made := time.Date(2026, 1, 8, 12, 30, 0, 0, time.UTC)
	f := facts{status: api.Status{Root: t.TempDir(), Guard: api.Guard{Mode: "audit", Wanted: "audit", Counts: api.GuardCounts{Missed: 7}, Hours: []api.GuardHour{
		{Start: made.Add(-8 * 24 * time.Hour), Refused: 9}, {Start: made.Truncate(time.Hour).Add(-time.Hour), Allowed: 3}, {Start: made.Truncate(time.Hour), Refused: 1 << 63},
		{Start: made.Add(48 * time.Hour), Refused: 9}}}}}
	f.guard.Denials = []api.GuardDenial{{Path: "/tmp/<script>\u202e", Digest: "abcd", Act: "exec", Count: 3, Why: api.GuardWhy{Text: "no list includes it"},
		By: api.GuardProcess{UID: 1000, Command: "s\x1bh", Unit: "a.service"}}}
	r := gather(t, f)
	r.Made = made
	r.Advise()
	if !slices.ContainsFunc(r.Next, func(s Step) bool {
		return s.Command == "digestctl guard learn" && strings.HasPrefix(s.Text, "7 uses of files")
	}) {
		t.Errorf("next is %+v", r.Next)
	}
	chart := view{Report: r}.Refusals()
	if len(chart.Hours) != 2 || chart.Hours[1].X != (hours-1)*hourWidth || chart.Hours[0].X != (hours-2)*hourWidth || chart.Highest != 1<<31 || len(chart.Hours[0].Bars) != 1 {
		t.Errorf("%+v", chart)
	}
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"The guard in the kernel", "It is in mode audit", `/tmp/&lt;script&gt;\u202e`, `s\x1bh of user 1000`, "a.service", "exec: no list includes it", ">allowed<"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
	r.Status.Guard = api.Guard{}
	page.Reset()
	if err := r.HTML(&page); err != nil || strings.Contains(page.String(), "The guard in the kernel") {
		t.Errorf("a machine without a guard has it on its page, %v", err)
	}
}
