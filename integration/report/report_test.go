// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

var programs pkgtest.Programs

func TestMain(m *testing.M) {
	pkgtest.Main(m, func(s *pkgtest.Setup) (err error) {
		programs, err = pkgtest.BuildPrograms(s.Dir)
		return err
	})
}

// evil is what files, owners and reasons are named to break out of a page: as
// markup, as a script, and by turning text around; long means to widen it.
const evil = `<script>document.title="broken"</script><img src=x onerror=alert(1)>'"` + "\u202e"

var long = strings.Repeat("wide", 50)

// newMachine is a daemon with packages of two keys, one without a list, and what an
// administrator decided.
func newMachine(t *testing.T) *pkgtest.Machine {
	t.Helper()
	m := pkgtest.NewMachine(t, programs, t.TempDir())
	key, err := pkgtest.NewKey("Vendor", 2048)
	m.OK(err)
	m.Trust(key)
	files := map[string]string{}
	for i := range 40 {
		files[fmt.Sprintf("/usr/bin/tool-%02d", i)] = fmt.Sprint("tool ", i)
	}
	m.RPM("-U", "--noplugins", m.Build(pkgtest.Package{Name: "tools", Version: "2", Files: files, Key: key}),
		m.Build(pkgtest.Package{Name: "unsigned", Version: "1", Files: map[string]string{"/usr/sbin/unsigned": "x"}}))
	// A slash is no part of a name.
	for _, name := range []string{strings.ReplaceAll(evil, "/", "|"), long, "new\nline", "caf\xe9"} {
		m.Write("/usr/bin/"+name, name)
	}

	m.Start()
	m.Must("rollback", "grant", "tools-1-1.noarch", "--reason", "because "+strings.ReplaceAll(evil, "\u202e", "")+" "+long)
	m.Must("floor", "set", "tools.noarch", "1-1", "--reason", "<b>bold</b>")
	m.Must("own", "add", "local", m.Write("/usr/bin/ours", "ours"), "--reason", "our own")
	m.Must("deny", m.Path("/usr/bin/tool-07"), "--reason", "found by <i>chance</i>", "--ticket", "CVE-2026-1")
	m.Write("/usr/bin/tool-03", "altered")
	m.Exits(3, "--quiet", "verify", "--all")
	return m
}

func TestPage(t *testing.T) {
	m := newMachine(t)
	file := filepath.Join(m.Dir, "report.html")
	m.Must("report", "--html", file, "--config", m.ConfigFile())
	page, err := os.ReadFile(file)
	m.OK(err)
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the page has mode %v, %v", fi.Mode(), err)
	}
	seen := measure(t, string(page), 1280, 390)
	for i, s := range seen {
		what := fmt.Sprintf("%d pixels wide, folded %v", s.Width, i < 2)
		if s.Needed > s.Width {
			t.Errorf("%s: it is %d pixels wide", what, s.Needed)
		}
		if s.Height < 1000 {
			t.Errorf("%s: it is %d pixels high", what, s.Height)
		}
		if s.Styled == "none" {
			t.Errorf("%s: its style is not let through by its policy", what)
		}
		if bad := slices.DeleteFunc(slices.Clone(s.Elements), func(e string) bool { return slices.Contains(known, e) }); len(bad) > 0 {
			t.Errorf("%s: it has %q", what, bad)
		}
		if s.Scripted > 0 {
			t.Errorf("%s: %d attributes load, style or run something", what, s.Scripted)
		}
	}
	if seen[0].Open != 0 || seen[2].Open == 0 {
		t.Errorf("%d details are open at first, %d when all are opened", seen[0].Open, seen[2].Open)
	}
	text := seen[2].Text
	for _, want := range []string{
		"40", "the owner's own lists", "own:local-1-1.noarch", "tools-2-1.noarch", "unsigned-1-1.noarch", "/usr/sbin/unsigned", "not signed", "Vendor@example.org",
		"was changed since tools-2-1.noarch", "with differences", "granted", "floor-set", "found by <i>chance</i>", "CVE-2026-1", "<b>bold</b>", `because <script>document.title="broken"</script>`, long,
		`/usr/bin/<script>document.title="broken"<|script><img src=x onerror=alert(1)>'"\u202e`, `new\nline`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// known are the elements that the page is made of.
var known = strings.Fields("html head meta title style body header main footer section article h1 h2 h3 p ul li b span br code pre i " +
	"table thead tbody tr th td svg rect g figure figcaption details summary")

// The page and what programs get are of the same facts; a page that cannot be
// written leaves the one that is there.
func TestSameFactsForPrograms(t *testing.T) {
	m := newMachine(t)
	var doc struct {
		Coverage struct {
			Executables, Named int
			Unnamed            []struct {
				Path    string
				RawPath []byte
				Reason  string
			}
		}
		Decisions []struct{ Kind string }
		Next      []struct{ Severity, Text string }
	}
	if code := m.JSON(&doc, "report", "--config", m.ConfigFile()); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if doc.Coverage.Executables != 46 || doc.Coverage.Named != 40 || len(doc.Coverage.Unnamed) != 6 || len(doc.Decisions) < 2 {
		t.Errorf("%+v", doc)
	}
	raw := false
	for _, u := range doc.Coverage.Unnamed {
		raw = raw || string(u.RawPath) == "/usr/bin/caf\xe9"
		if u.Reason == "" {
			t.Errorf("nobody said why %q", u.Path)
		}
	}
	if !raw {
		t.Error("a name that is not UTF-8 is lost")
	}

	file := filepath.Join(m.Dir, "report.html")
	m.OK(os.Mkdir(file, 0o755))
	if out, err := m.Digestctl("report", "--html", file, "--config", m.ConfigFile()).CombinedOutput(); err == nil || !strings.Contains(string(out), "is not a regular file") {
		t.Errorf("%v: %s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(m.Dir, ".digestctl-report-*")); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}
