// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// registry has the shape of the hosts that packages come from, also of one that is put
// together. Each machine says by itself where packages come from: its own configuration, or a
// variable.
const registry = `\b(proxy|sum|registry|index|static|files|deb|ftp|httpredir|archive|security|snapshot|ports|mirrors?|downloads?|dl|dl-cdn|vault|packages|repos?)` +
	`\.[a-z0-9-]+(\.org|\.com|\.io|\.net|\.dev)\b|["'` + "`" + `]\s*\+\s*["'` + "`" + `]\\?\.(org|com|io|net|dev)\b`

// machineHosts are the hosts that this machine takes packages from.
func machineHosts(t *testing.T) (hosts []string) {
	t.Helper()
	said, err := exec.Command("go", "env", "GOPROXY", "GOSUMDB").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/*", "/etc/yum.repos.d/*", "/etc/zypp/repos.d/*", "/etc/pip.conf"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			if data, err := os.ReadFile(p); err == nil {
				said = append(append(said, '\n'), data...)
			}
		}
	}
	for _, m := range regexp.MustCompile(`[a-z+]+://[^\s,|'"]+`).FindAll(said, -1) {
		if u, err := url.Parse(string(m)); err == nil && strings.Contains(u.Hostname(), ".") {
			hosts = append(hosts, u.Hostname())
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// unwanted are texts that no file has. They are put together here so that this
// file has none of them either.
func unwanted(t *testing.T) *regexp.Regexp {
	t.Helper()
	words := []string{
		`(^|[^A-Za-z0-9_$.}])/wo` + `rk/`, `/tmp` + `/c\b`, // paths of one machine
		`\bTO` + `DO\b`, `\bFIX` + `ME\b`, registry,
	}
	for _, host := range machineHosts(t) {
		words = append(words, regexp.QuoteMeta(host))
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
	for _, text := range []string{"see /wo" + "rk/main", "in /tmp" + "/c/x", "// TO" + "DO: all", "http://mirror.example%d", "http://deb.example%d/debian", `"proxy.example" %p ".%d"`} {
		// Words that this file must not have either.
		text = strings.NewReplacer(".%d", ".org", "example%d", "example.org", "%p", "+").Replace(text)
		if !re.MatchString(text) {
			t.Errorf("%q passes", text)
		}
	}
	for _, text := range []string{"$WO" + "RK/file", "docs/wo" + "rk/x", "/tmp" + "/cache", "TODOS", "https://www.example.org/deb", "deb.example"} {
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
	checked := 0
	anchor := regexp.MustCompile(`\]\(([^)#\s]*)#([^)]*)\)`)
	for _, f := range files(t) {
		if f.ext() != ".md" {
			continue
		}
		for _, m := range anchor.FindAllSubmatch(f.data, -1) {
			target := f.path
			if len(m[1]) > 0 {
				target = path.Join(f.dir(), string(m[1]))
			}
			if strings.Contains(string(m[1]), "://") || !strings.HasSuffix(target, ".md") {
				continue
			}
			data, err := os.ReadFile(path.Join("../..", target))
			if err != nil || !slices.Contains(headings(data), string(m[2])) {
				t.Errorf("%s links to #%s, which %s does not have (%v)", f.path, m[2], target, err)
			}
			checked++
		}
	}
	if checked < 10 {
		t.Errorf("only %d links lead to a heading", checked)
	}
	if !slices.Contains(documents, "README.md") {
		t.Errorf("no README.md among %v", documents)
	}
}

// headings are the names by which links lead to the headings of a page: in lower case, without
// punctuation, with dashes for blanks.
func headings(page []byte) (names []string) {
	dropped := regexp.MustCompile(`[^\w\- ]`)
	code := false
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		marks, text, found := strings.Cut(strings.TrimSpace(line), " ")
		if !code && found && marks != "" && strings.Trim(marks, "#") == "" {
			names = append(names, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(text), ""), " ", "-"))
		}
	}
	return names
}

func TestHeadings(t *testing.T) {
	got := headings([]byte("# To add a verb of `digestctl`\n\n```sh\n# a comment\n```\n## What's new? (2)\ntext # no heading\n"))
	if want := []string{"to-add-a-verb-of-digestctl", "whats-new-2"}; !slices.Equal(got, want) {
		t.Errorf("headings are %q, not %q", got, want)
	}
}

// TestNoDataOfOthers: what was not made here is no part of the tree. A test that wants it
// asks integration/needs.
func TestNoDataOfOthers(t *testing.T) {
	kinds := regexp.MustCompile(`\.(gz|xz|zst|bz2|rpm|deb|sqlite|db|sig|key|asc|gpg|pgp|hdr|region)$`)
	for _, f := range files(t) {
		if kinds.MatchString(f.path) {
			t.Errorf("%s is data: make it in the test, or leave it outside and read it by needs.Data", f.path)
		}
		if bytes.HasPrefix(f.data, []byte("SQLite format 3")) || bytes.HasPrefix(f.data, []byte{0x1f, 0x8b}) || bytes.HasPrefix(f.data, []byte{0x8e, 0xad, 0xe8, 1}) ||
			bytes.Contains(f.data, []byte("\n-----BEGIN PGP "+"PUBLIC KEY BLOCK-----\n\nm")) {
			t.Errorf("%s has data of others, by its content", f.path)
		}
	}
}
