// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// unusual are words and forms that texts for users do not have, each with what to write
// instead. docs/architecture.md has the words that the project uses.
var unusual = []struct{ pattern, instead string }{
	{`\banew\b`, "again"},
	{`\b[Mm]end(s|ed)?\b`, "fix"},
	{`\bput right\b`, "fixed"},
	{`\bfor want of\b`, "for lack of"},
	{`\bpassed over\b`, "skipped"},
	{`\b[Ff]olders?\b`, "directory"},
	{`\btells? of\b`, "reports"},
	{`\bspeaks? against\b`, "forbids, prevents"},
	{`\bcannot be had\b`, "is not available"},
	{`\bgone by\b`, "in the past"},
	{`\bunless told\b`, "default:"},
	{`\bas (it|they) should be\b`, "no differences, no problems"},
	{`\bis well\b`, "has no problems"},
	{`\bof strangers\b`, "of other programs"},
	{`\bvouche[sd]? .*\bthat counts\b|\bnothing that counts\b`, "no trusted key"},
	{`\b[Ww]hoever\b`, "a user who, a program that"},
	{`\banother hand\b`, "another program"},
	{`\btakes? (it|them|that) back\b|\btaken back\b`, "revoke a grant, lift a denial, restore a key"},
}

// clauses are sentences whose subject is a clause: the actor comes first. Questions are not meant.
var clauses = regexp.MustCompile(`^(Who|Whoever|What|Whatever) [a-z][^?]*$`)

// logged are packages whose texts no user reads.
var logged = regexp.MustCompile(`^(daemon/(sim|failpoint|daemontest)|cmd/digestctl/ctltest)/|test/`)

// literals are the texts with more than one word in a file of Go.
func literals(t *testing.T, f file) (texts []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), f.path, f.data, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if field, ok := n.(*ast.Field); ok && field.Tag != nil {
			return false
		}
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil && strings.Contains(strings.TrimSpace(text), " ") {
				texts = append(texts, text)
			}
		}
		return true
	})
	return texts
}

// userTexts are what users read of a file: literals of programs and of the service, pages,
// the configuration.
func userTexts(t *testing.T, f file) []string {
	t.Helper()
	top, _, _ := strings.Cut(f.path, "/")
	switch {
	case f.ext() == ".go" && !strings.HasSuffix(f.path, "_test.go") && !logged.MatchString(f.path) &&
		(top == "cmd" || top == "daemon" || top == "hooks" || top == "policy" || top == "rpmdb" || top == "kernel" || top == "store" || top == "digestlist"):
		return literals(t, f)
	case strings.HasPrefix(f.path, "docs/decisions/"):
	case f.ext() == ".md", strings.HasPrefix(f.path, "docs/man/"), f.path == "systemd/digestd.conf", f.path == "systemd/digestd.catalog", f.ext() == ".html":
		return strings.Split(string(f.data), "\n")
	}
	return nil
}

// TestTextsForUsersUseUsualWords: texts that users read have the usual word for a thing, and
// errors, problems and help begin with the actor.
func TestTextsForUsersUseUsualWords(t *testing.T) {
	words := make([]*regexp.Regexp, len(unusual))
	for i, u := range unusual {
		words[i] = regexp.MustCompile(u.pattern)
	}
	read := 0
	for _, f := range files(t) {
		texts := userTexts(t, f)
		read += len(texts)
		for _, text := range texts {
			for i, re := range words {
				if hit := re.FindString(text); hit != "" {
					t.Errorf("%s says %q in %.80q: write %s", f.path, hit, text, unusual[i].instead)
				}
			}
			if f.ext() == ".go" && clauses.MatchString(text) {
				t.Errorf("%s begins a text with a clause: %.80q", f.path, text)
			}
		}
	}
	if read < 5000 {
		t.Errorf("only %d texts were found", read)
	}
}

// TestActorsAreNamed: comments and pages, too, name the user, program or file that does a thing.
func TestActorsAreNamed(t *testing.T) {
	unnamed := regexp.MustCompile(`(?i)\bwhom?ever\b`)
	for _, f := range files(t) {
		if f.path == "integration/tree/english_test.go" {
			continue
		}
		for n, line := range strings.Split(string(f.data), "\n") {
			if unnamed.MatchString(line) {
				t.Errorf("%s:%d: name the actor: %.80q", f.path, n+1, line)
			}
		}
	}
}

// TestUnusualWordsAreFound keeps the patterns from matching nothing.
func TestUnusualWordsAreFound(t *testing.T) {
	for _, text := range []string{
		"mend the cause", "made anew", "3 put right", "refused for want of a list", "the folder of keys", "it tells of changes", "nothing that counts vouches for it",
		"another hand was in the list directory", "sha256 unless told", "all as they should be", "the grant was taken back",
	} {
		found := false
		for _, u := range unusual {
			found = found || regexp.MustCompile(u.pattern).MatchString(text)
		}
		if !found {
			t.Errorf("%q passes", text)
		}
	}
	for text, want := range map[string]bool{"Whoever asks waits": true, "What is denied changes": true, "What changed?": false, "The key that signed it": false} {
		if clauses.MatchString(text) != want {
			t.Errorf("%q is a clause: %t", text, !want)
		}
	}
}
