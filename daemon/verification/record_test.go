// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/verify"
)

// opened is the record in a state directory, as a start finds it.
func opened(dir string) *recorder {
	rec := &recorder{}
	rec.open(dir)
	return rec
}

// unit is a list that is done, with so many findings about files of its name.
func unit(name string, findings int) *verify.Unit {
	u := &verify.Unit{Cursor: verify.Cursor{List: name}, Package: true, Files: findings}
	for i := range findings {
		u.Findings = append(u.Findings, api.Finding{Path: fmt.Sprintf("/%s/%d", name, i), Kind: api.FindingChanged, Severity: api.SeverityError})
	}
	return u
}

func begin(t *testing.T, rec *recorder, resume bool) verify.Cursor {
	t.Helper()
	after, err := rec.begin(api.Verification{All: true, Started: time.Unix(100, 0)}, resume)
	if err != nil {
		t.Fatal(err)
	}
	return after
}

func take(t *testing.T, rec *recorder, units ...*verify.Unit) {
	t.Helper()
	for _, u := range units {
		if err := rec.take(u); err != nil {
			t.Fatal(err)
		}
	}
}

// total is how many findings a record says there are, all of which it must give.
func total(t *testing.T, rec *recorder) int {
	t.Helper()
	n := uint32(0)
	for {
		page, all, err := rec.page(n, 700)
		if err != nil {
			t.Fatal(err)
		}
		if n += uint32(len(page)); len(page) == 0 {
			if n != all {
				t.Errorf("the pages have %d findings, the total says %d", n, all)
			}
			return int(n)
		}
	}
}

// A run that is cut short is known up to what was noted of it, and goes on from there.
func TestRecordOfARunThatIsCutShort(t *testing.T) {
	dir := t.TempDir()
	rec := opened(dir)
	if after := begin(t, rec, false); after.List != "" {
		t.Errorf("a new run begins after %+v", after)
	}
	take(t, rec, unit("a", 2))
	if err := rec.note(time.Second); err != nil {
		t.Fatal(err)
	}
	take(t, rec, unit("b", 3)) // of which nothing is noted
	if n := total(t, rec); n != 5 {
		t.Errorf("while it runs, %d are found", n)
	}

	rec = opened(dir)
	latest, full := rec.latest()
	if latest.State != api.VerifyInterrupted || latest.Errors != 2 || latest.Packages != 1 || latest.Duration != time.Second || full.State != "" || total(t, rec) != 2 {
		t.Errorf("after a kill the latest is %+v, with %d findings; the latest of everything is %+v", latest, total(t, rec), full)
	}
	if after := begin(t, rec, true); after.List != "a" {
		t.Errorf("it goes on after %+v", after)
	}
	take(t, rec, unit("b", 3), unit("c", 0))
	if _, err := rec.end(api.VerifyFinished, time.Second, time.Unix(200, 0)); err != nil {
		t.Fatal(err)
	}
	rec = opened(dir)
	if latest, full = rec.latest(); latest.State != api.VerifyFinished || latest.Errors != 5 || latest.Packages != 3 || latest.Duration != 2*time.Second || full.Errors != 5 || total(t, rec) != 5 {
		t.Errorf("ended, it is %+v, with %d findings; the latest of everything is %+v", latest, total(t, rec), full)
	}
}

// The findings of a run that begins are its own, wherever a page begins.
func TestPagesOfFindings(t *testing.T) {
	rec := opened(t.TempDir())
	begin(t, rec, false)
	take(t, rec, unit("old", 7))
	if _, err := rec.end(api.VerifyFinished, 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	begin(t, rec, false)
	if n := total(t, rec); n != 0 {
		t.Errorf("a run that begins has %d findings", n)
	}
	take(t, rec, unit("a", 1500), unit("b", 1200))
	for _, offset := range []uint32{0, 1, 999, 1000, 1001, 1999, 2000, 2699} {
		page, n, err := rec.page(offset, 1)
		want := fmt.Sprintf("/a/%d", offset)
		if offset >= 1500 {
			want = fmt.Sprintf("/b/%d", offset-1500)
		}
		if err != nil || n != 2700 || len(page) != 1 || page[0].Path != want {
			t.Errorf("finding %d of %d is %+v (%v), want %s", offset, n, page, err, want)
		}
	}
	if page, n, err := rec.page(2700, 10); err != nil || n != 2700 || len(page) != 0 {
		t.Errorf("past the end are %v of %d, %v", page, n, err)
	}
	if page, _, err := rec.page(950, 100); err != nil || len(page) != 100 || page[99].Path != "/a/1049" {
		t.Errorf("across the thousandth are %d, %v", len(page), err)
	}
}

// Findings are kept up to a bound; the rest is counted.
func TestFindingsAreBounded(t *testing.T) {
	rec := opened(t.TempDir())
	begin(t, rec, false)
	take(t, rec, unit("a", 1))
	rec.record.Findings = maxFindings - 1 // as if that many were kept
	more := unit("b", 3)
	more.Dropped = api.Verification{Errors: 10, Notices: 4, Dropped: 14, Counts: api.VerifyCounts{Unvouched: 10}}
	take(t, rec, more)
	latest, _ := rec.latest()
	if latest.Errors != 14 || latest.Notices != 4 || latest.Dropped != 16 || latest.Counts.Changed != 4 || latest.Counts.Unvouched != 10 || rec.record.Findings != maxFindings {
		t.Errorf("%d are kept of %+v", rec.record.Findings, latest)
	}
}

// A record that cannot be read is forgotten. One whose findings are lost still says what a
// run came to, but one that was interrupted cannot go on without them.
func TestRecordIsDamaged(t *testing.T) {
	for name, test := range map[string]struct {
		state  string // of the run
		damage func(dir string) error
		want   string
	}{
		"nothing":               {api.VerifyInterrupted, func(string) error { return nil }, api.VerifyInterrupted},
		"no record":             {api.VerifyFinished, func(dir string) error { return os.Remove(filepath.Join(dir, verifyFile)) }, ""},
		"garbage":               {api.VerifyFinished, func(dir string) error { return os.WriteFile(filepath.Join(dir, verifyFile), []byte("{"), 0o600) }, ""},
		"no findings":           {api.VerifyFinished, func(dir string) error { return os.Remove(filepath.Join(dir, findingsFile)) }, api.VerifyFinished},
		"findings of a half":    {api.VerifyInterrupted, func(dir string) error { return os.Truncate(filepath.Join(dir, findingsFile), 10) }, ""},
		"no findings of a half": {api.VerifyInterrupted, func(dir string) error { return os.Remove(filepath.Join(dir, findingsFile)) }, ""},
	} {
		dir := t.TempDir()
		rec := opened(dir)
		begin(t, rec, false)
		take(t, rec, unit("a", 2))
		if _, err := rec.end(test.state, 0, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := test.damage(dir); err != nil {
			t.Fatal(err)
		}
		rec = opened(dir)
		latest, _ := rec.latest()
		if latest.State != test.want {
			t.Errorf("%s: the latest is %+v, want %q", name, latest, test.want)
		}
		if n := total(t, rec); n != 0 && name != "nothing" {
			t.Errorf("%s: %d findings are left", name, n)
		}
		if after := begin(t, rec, true); (after.List == "a") != (latest.State != "") {
			t.Errorf("%s: the next goes on after %+v", name, after)
		}
	}
}

// A run that cannot keep its findings does not begin, and those of the one before stay.
func TestFindingsCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	rec := opened(dir)
	begin(t, rec, false)
	take(t, rec, unit("a", 2))
	if _, err := rec.end(api.VerifyFinished, 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, obstacle := range []string{verifyFile + ".new", findingsFile} {
		path := filepath.Join(dir, obstacle)
		os.Rename(path, path+".aside")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := rec.begin(api.Verification{}, false); err == nil {
			t.Errorf("%s: it began", obstacle)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		os.Rename(path+".aside", path)
		for _, rec := range []*recorder{rec, opened(dir)} {
			if latest, _ := rec.latest(); latest.State != api.VerifyFinished || latest.Errors != 2 || total(t, rec) != 2 {
				t.Errorf("%s: the latest is %+v, with %d findings", obstacle, latest, total(t, rec))
			}
		}
	}
}
