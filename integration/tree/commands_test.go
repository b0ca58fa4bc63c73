// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestPagesNameWhatThereIs: each target of make and each verb of digestctl that a page shows as
// a command exists.
func TestPagesNameWhatThereIs(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	// A command is in backquotes, or alone on an indented line.
	command := regexp.MustCompile("(?m)(?:`|^ {4,}(?:[$#] )?(?:sudo )?)(make|digestctl) ([a-z][a-z-]*)")
	targets, verbs := map[string]bool{}, map[string]bool{}
	for _, f := range files(t) {
		if f.ext() != ".md" || f.path == "CHANGELOG.md" {
			continue
		}
		for _, m := range command.FindAllSubmatchIndex(f.data, -1) {
			program, word := string(f.data[m[2]:m[3]]), string(f.data[m[4]:m[5]])
			line := 1 + bytes.Count(f.data[:m[0]], []byte("\n"))
			if program == "make" {
				targets[word] = true
				if !regexp.MustCompile(`(?m)^`+word+`:`).Match(makefile) && !strings.HasPrefix(word, "setup-") {
					t.Errorf("%s:%d: there is no target %q of make", f.path, line, word)
				}
				continue
			}
			verbs[word] = true
			_, page := os.Stat("../../docs/man/digestctl-" + word + ".1")
			if page != nil && word != "completion" && word != "man" && word != "help" {
				t.Errorf("%s:%d: there is no verb %q of digestctl", f.path, line, word)
			}
		}
	}
	if len(targets) < 10 || len(verbs) < 10 {
		t.Errorf("pages show only these: %v, %v", targets, verbs)
	}
}
