// SPDX-License-Identifier: Apache-2.0

package verification_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/digestlist"
)

func TestMain(m *testing.M) { daemontest.Main(m) }

const helloList = "tlv-hello-0:1-1.noarch"

// everything asks for all to be verified.
var everything = api.VerifyRequest{}

// machine has two packages whose files are as they should be, and an own list.
func machine(t *testing.T) *daemontest.Machine {
	t.Helper()
	m := daemontest.New(t)
	hello := map[string]string{"/usr/bin/hello": "one", "/usr/bin/hi": "two"}
	other := map[string]string{"/usr/bin/other": "three"}
	own := map[string]string{"/opt/app": "four"}
	m.Install(t, daemontest.Package(t, "hello", "", hello), daemontest.Package(t, "other", "", other))
	m.Sync(t)
	m.Own(t, "app", 0, daemontest.Body(t, digestlist.SHA256, own))
	for _, files := range []map[string]string{hello, other, own} {
		for path, content := range files {
			m.File(t, path, content)
		}
	}
	return m
}

// verify asks for a verification, which must come to its end.
func verify(t *testing.T, m *daemontest.Machine, req api.VerifyRequest) api.Verification {
	t.Helper()
	r, err := m.Verify(t.Context(), daemontest.Root, req, daemontest.Quiet)
	if err != nil || r.State != api.VerifyFinished {
		t.Fatalf("%+v, %v", r, err)
	}
	return r
}

// found are the findings of the latest verification, each as its kind and what it is about.
func found(t *testing.T, m *daemontest.Machine) (texts []string) {
	t.Helper()
	page, total, err := m.Findings(t.Context(), 0, api.MaxPage)
	if err != nil || int(total) != len(page) {
		t.Fatalf("%d of %d findings, %v", len(page), total, err)
	}
	for _, f := range page {
		about := f.Path
		if about == "" {
			about = f.List
		}
		texts = append(texts, f.Kind+" "+about)
	}
	slices.Sort(texts)
	return texts
}

// A machine that is as it should be has no findings, and status says when that was seen.
func TestNothingFound(t *testing.T) {
	m := machine(t)
	if _, err := m.Verification(t.Context()); daemontest.Code(err) != api.NotFound {
		t.Errorf("before the first: %v", err)
	}
	var stages []string
	r, err := m.Verify(t.Context(), daemontest.Root, everything, func(stage string, done, total int) {
		if done > total && stage == "comparing" {
			t.Errorf("%d of %d are compared", done, total)
		}
		stages = append(stages, stage)
	})
	if err != nil || r.State != api.VerifyFinished || !r.All || r.Errors != 0 || r.Notices != 0 || r.Packages != 2 || r.Files != 4 || r.Bytes == 0 || r.Ended.Before(r.Started) {
		t.Errorf("%+v, %v", r, err)
	}
	if !slices.Contains(stages, "comparing") {
		t.Errorf("the stages are %v", stages)
	}
	if texts := found(t, m); len(texts) > 0 {
		t.Errorf("found are %v", texts)
	}
	latest, err := m.Verification(t.Context())
	if st := m.Status(); err != nil || st.Verified.Files != 4 || latest.Files != 4 || !st.Verified.Ended.Equal(latest.Ended) || m.Problem("verification").Text != "" {
		t.Errorf("the latest is %+v (%v), in status %+v", latest, err, st.Verified)
	}
	if log := m.Events(t, "verified", "found"); len(log) != 1 || log[0].Reason != "clean" || log[0].Text != "4 files of 2 packages: 0 errors" {
		t.Errorf("the log has %+v", log)
	}
}

// A file that differs from its list is found, reported by kind, recorded, and a problem until
// it is right again.
func TestFindings(t *testing.T) {
	m := machine(t)
	m.File(t, "/usr/bin/hi", "altered")
	m.File(t, "/usr/bin/nobody", "unknown")
	if err := errors.Join(os.Remove(m.Path("/usr/bin/other")), os.Remove(filepath.Join(m.Config.Lists, "tlv-own-app"))); err != nil {
		t.Fatal(err)
	}
	r := verify(t, m, everything)
	if want := (api.VerifyCounts{Changed: 1, Missing: 1, Unvouched: 2, List: 1}); r.Counts != want || r.Errors != 5 {
		t.Errorf("%d errors, %+v; want %+v", r.Errors, r.Counts, want)
	}
	want := []string{"changed /usr/bin/hi", "list tlv-own-app", "missing /usr/bin/other", "unvouched /opt/app", "unvouched /usr/bin/nobody"}
	if texts := found(t, m); !slices.Equal(texts, want) {
		t.Errorf("found are %v, want %v", texts, want)
	}
	problem := func() api.Problem {
		st := m.Status()
		if i := slices.IndexFunc(st.Problems, func(p api.Problem) bool { return p.ID == "verification" }); i >= 0 {
			return st.Problems[i]
		}
		return api.Problem{}
	}
	if p := problem(); p.Severity != api.SeverityWarning || !strings.Contains(p.Text, "5 errors, 1 changed, 1 missing, 2 executables without a list, 1 list missing") || p.Since != r.Ended {
		t.Errorf("the problem is %+v", p)
	}
	if log := m.Events(t, "found"); len(log) != 5 || m.Events(t, "verified")[0].Reason != "findings" {
		t.Errorf("the log has %+v", log)
	}

	// A look at a part changes nothing of what is known of the whole.
	if r := verify(t, m, api.VerifyRequest{Packages: []string{"hello"}}); r.All || r.Errors != 1 || !slices.Equal(r.Scope, []string{"hello"}) {
		t.Errorf("of one package: %+v", r)
	}
	if st := m.Status(); st.Verified.Errors != 5 {
		t.Errorf("status has %+v", st.Verified)
	}

	// Lists are put right by digestd, files by somebody else.
	if r := verify(t, m, api.VerifyRequest{Fix: true}); r.Counts.List != 0 || r.Errors != 3 {
		t.Errorf("with what can be put right: %+v", r)
	}
	m.File(t, "/usr/bin/hi", "two")
	m.File(t, "/usr/bin/other", "three")
	if err := os.Remove(m.Path("/usr/bin/nobody")); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, m, everything); r.Errors != 0 {
		t.Errorf("put right: %+v, %v", r, found(t, m))
	}
	if p := problem(); p.Text != "" {
		t.Errorf("a problem is left: %+v", p)
	}
}

// A package whose list is withheld has files that nothing vouches for.
func TestWithheldPackageIsFound(t *testing.T) {
	m := machine(t)
	if err := m.FloorSet(t.Context(), daemontest.Root, "hello", "2-1", "why"); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, m, everything); r.Counts.Withheld != 1 {
		t.Errorf("%+v, %v", r, found(t, m))
	}
}

// A file that only a replaced list vouches for, which stays until the next boot, has a list.
func TestReplacedListVouches(t *testing.T) {
	m := machine(t)
	m.Enter(t, func(s *ledger.Ledger) {
		old := *s.ByName["tlv-other-0:1-1.noarch"]
		old.Grace = s.Boot
		s.Save(&old)
	})
	if err := os.Remove(m.Path("/usr/bin/other")); err != nil {
		t.Fatal(err)
	}
	m.File(t, "/usr/local/bin/copy", "three")
	r := verify(t, m, everything)
	if texts := found(t, m); len(texts) > 0 || r.Files != 4 { // of which one is the copy
		t.Errorf("found are %v in %d files", texts, r.Files)
	}
}

// A request names what is there, by what it can be named by.
func TestScope(t *testing.T) {
	m := machine(t)
	m.File(t, "/usr/bin/hi", "altered")
	for name, test := range map[string]struct {
		req    api.VerifyRequest
		errors int
	}{
		"a name":              {api.VerifyRequest{Packages: []string{"hello"}}, 1},
		"a name.arch":         {api.VerifyRequest{Packages: []string{"hello.noarch"}}, 1},
		"a NEVRA":             {api.VerifyRequest{Packages: []string{"hello-1-1.noarch"}}, 1},
		"a list":              {api.VerifyRequest{Packages: []string{helloList}}, 1},
		"another":             {api.VerifyRequest{Packages: []string{"other"}}, 0},
		"an own list":         {api.VerifyRequest{Packages: []string{"own:app"}}, 0},
		"a file":              {api.VerifyRequest{Paths: []string{m.Path("/usr/bin/hi")}}, 1},
		"a file in the root":  {api.VerifyRequest{Paths: []string{"/usr/bin/hi"}}, 1},
		"another file":        {api.VerifyRequest{Paths: []string{"/usr/bin/hello"}}, 0},
		"a directory":         {api.VerifyRequest{Paths: []string{"/usr"}}, 1},
		"another directory":   {api.VerifyRequest{Paths: []string{"/opt"}}, 0},
		"files and a package": {api.VerifyRequest{Paths: []string{"/usr/bin/hi"}, Packages: []string{"hello"}}, 1},
	} {
		if r := verify(t, m, test.req); r.Errors != test.errors || r.All {
			t.Errorf("%s: %+v, %v", name, r, found(t, m))
		}
	}
	for name, test := range map[string]struct {
		req  api.VerifyRequest
		code api.Code
	}{
		"no package":      {api.VerifyRequest{Packages: []string{"hello", "none"}}, api.NotFound},
		"a relative path": {api.VerifyRequest{Paths: []string{"usr"}}, api.InvalidArgument},
		"a path with NUL": {api.VerifyRequest{Paths: []string{"/usr\x00"}}, api.InvalidArgument},
		"a long path":     {api.VerifyRequest{Paths: []string{"/" + strings.Repeat("x", 1<<16)}}, api.InvalidArgument},
		"too many":        {api.VerifyRequest{Paths: slices.Repeat([]string{"/usr"}, 4000), Packages: slices.Repeat([]string{"hello"}, 97)}, api.InvalidArgument},
	} {
		before, err := m.Verification(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Verify(t.Context(), daemontest.Root, test.req, daemontest.Quiet); daemontest.Code(err) != test.code {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
		if after, err := m.Verification(t.Context()); err != nil || !after.Started.Equal(before.Started) || after.State != before.State {
			t.Errorf("%s: what was refused is the latest: %+v, %v", name, after, err)
		}
	}
}

// One verification runs at a time. One that was interrupted can be gone on with, by the
// same request, also after a restart; what it had found is kept.
func TestInterrupted(t *testing.T) {
	m := machine(t)
	m.File(t, "/usr/bin/hi", "altered")
	interrupt := func() api.Verification {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		r, err := m.Verify(ctx, daemontest.Root, everything, func(string, int, int) {
			if latest, err := m.Verification(t.Context()); err != nil || latest.State != api.VerifyRunning {
				t.Errorf("while it runs: %+v, %v", latest, err)
			}
			busy, stop := context.WithCancel(t.Context())
			stop()
			if _, err := m.Verify(busy, daemontest.Root, everything, daemontest.Quiet); daemontest.Code(err) != api.Busy {
				t.Errorf("a second one: %v", err)
			}
			cancel()
		})
		if err == nil || r.State != api.VerifyInterrupted {
			t.Fatalf("%+v, %v", r, err)
		}
		return r
	}
	first := interrupt()
	m.Stop()
	m.Start(t)
	if latest, err := m.Verification(t.Context()); err != nil || latest.State != api.VerifyInterrupted || !latest.Started.Equal(first.Started) {
		t.Errorf("after a restart: %+v, %v", latest, err)
	}
	if st := m.Status(); st.Verified.State != "" {
		t.Errorf("status has one that was interrupted: %+v", st.Verified)
	}
	if r := verify(t, m, api.VerifyRequest{Resume: true}); !r.Started.Equal(first.Started) || r.Errors != 1 || r.Files != 4 {
		t.Errorf("gone on with: %+v", r)
	}
	first = interrupt()
	if r := verify(t, m, api.VerifyRequest{Resume: true, Packages: []string{"other"}}); r.Started.Equal(first.Started) || r.Files != 1 {
		t.Errorf("another request went on: %+v", r)
	}
	if r := verify(t, m, api.VerifyRequest{Resume: true}); r.Started.Equal(first.Started) {
		t.Errorf("one that had ended went on: %+v", r)
	}
}

// The log has the first findings, and all are kept.
func TestManyFindings(t *testing.T) {
	m := machine(t)
	const many = 150
	for i := range many {
		m.File(t, fmt.Sprintf("/usr/bin/nobody%03d", i), fmt.Sprint("unknown ", i))
	}
	if r := verify(t, m, everything); r.Errors != many || r.Dropped != 0 {
		t.Errorf("%+v", r)
	}
	if log := m.Events(t, "found"); len(log) != 100 {
		t.Errorf("the log has %d of them", len(log))
	}
	var all []api.Finding
	for {
		page, total, err := m.Findings(t.Context(), uint32(len(all)), 40)
		if err != nil || total != many || len(page) > 40 {
			t.Fatalf("%d of %d, %v", len(page), total, err)
		}
		if all = append(all, page...); len(page) == 0 {
			break
		}
	}
	paths := map[string]bool{}
	for _, f := range all {
		paths[f.Path] = true
	}
	if len(all) != many || len(paths) != many {
		t.Errorf("the pages have %d, about %d files", len(all), len(paths))
	}
}

// A verification that cannot be noted does not begin, and the latest stays what it was.
func TestCannotBeNoted(t *testing.T) {
	m := machine(t)
	before := verify(t, m, everything)
	obstacle := filepath.Join(m.Config.State, "verify.json.new")
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Verify(t.Context(), daemontest.Root, everything, daemontest.Quiet); err == nil {
		t.Error("it began")
	}
	if latest, err := m.Verification(t.Context()); err != nil || latest.State != api.VerifyFinished || !latest.Started.Equal(before.Started) {
		t.Errorf("the latest is %+v, %v", latest, err)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	verify(t, m, everything)
}
