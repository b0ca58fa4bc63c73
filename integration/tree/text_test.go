// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// public is what GOPROXY is when nobody sets it.
const public = "proxy.golang" + ".org"

// unwanted are texts that no file has. They are put together here so that this
// file has none of them either.
func unwanted(t *testing.T) *regexp.Regexp {
	t.Helper()
	words := []string{
		`(^|[^A-Za-z0-9_$.}])/wo` + `rk/`, `/tmp` + `/c\b`, // paths of one machine
		`\bTO` + `DO\b`, `\bFIX` + `ME\b`,
		regexp.QuoteMeta(public), `registry\.npmjs` + `\.org`, `pypi` + `\.org`, `index\.crates` + `\.io`,
	}
	proxies, err := exec.Command("go", "env", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	for p := range strings.FieldsFuncSeq(string(proxies), func(r rune) bool { return strings.ContainsRune(",| \n", r) }) {
		if u, err := url.Parse(p); err == nil && u.Hostname() != "" {
			words = append(words, regexp.QuoteMeta(u.Hostname()))
		}
	}
	return regexp.MustCompile(`(?m)` + strings.Join(words, "|"))
}

func TestFilesNameNoMachineAndPromiseNoWork(t *testing.T) {
	re := unwanted(t)
	for _, f := range files(t) {
		if hit := re.FindIndex(f.data); hit != nil {
			t.Errorf("%s:%d has %q", f.path, 1+bytes.Count(f.data[:hit[0]], []byte("\n")), f.data[hit[0]:hit[1]])
		}
	}
}

// TestUnwantedTextIsFound keeps the pattern from matching nothing.
func TestUnwantedTextIsFound(t *testing.T) {
	re := unwanted(t)
	for _, text := range []string{"see /wo" + "rk/main", "in /tmp" + "/c/x", "// TO" + "DO: all", "https://" + public} {
		if !re.MatchString(text) {
			t.Errorf("%q passes", text)
		}
	}
	for _, text := range []string{"$WO" + "RK/file", "docs/wo" + "rk/x", "/tmp" + "/cache", "TODOS"} {
		if re.MatchString(text) {
			t.Errorf("%q does not pass", text)
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	var documents []string
	for _, f := range files(t) {
		if f.ext() != ".md" {
			continue
		}
		documents = append(documents, f.path)
		for _, m := range link.FindAllSubmatch(f.data, -1) {
			target := string(m[1])
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(path.Join("../..", f.dir(), target)); err != nil {
				t.Errorf("%s links to %s: %v", f.path, target, err)
			}
		}
	}
	if !slices.Contains(documents, "README.md") {
		t.Errorf("no README.md among %v", documents)
	}
}
