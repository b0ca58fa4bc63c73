// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

// No text of a document moves the cursor or reorders the line, and programs read what it was.
func TestDocumentsAreVisible(t *testing.T) {
	type document struct {
		Path string   `json:"path"`
		More []string `json:"more"`
	}
	for _, text := range []string{"plain", "größer 猫 \U0001f600", "\u009b31mred\u009c", "\x7f\x1b[2J", "\u202egpj.exe\u2066", "\U000e0041tag", "\ufeff\u2028\u00ad", "a\xffb"} {
		want, _ := json.Marshal(document{text, []string{}})
		var meant document
		json.Unmarshal(want, &meant)
		var out bytes.Buffer
		ui := New(&out, &out)
		compact, err := Compact(document{Path: text})
		indented, ierr := Indented(document{Path: text}, "  ")
		if err != nil || ierr != nil || ui.JSON(document{Path: text}) != nil || ui.JSONLine(document{Path: text}) != nil {
			t.Fatal(err, ierr)
		}
		for i, printed := range append(strings.SplitAfter(out.String(), "}\n")[:2], string(compact), string(indented)) {
			var got document
			if err := json.Unmarshal([]byte(printed), &got); err != nil || got.Path != meant.Path {
				t.Errorf("%q is printed as %q: %v", text, printed, err)
			}
			if strings.ContainsFunc(printed, func(r rune) bool { return r != '\n' && r != unicode.ReplacementChar && !unicode.IsPrint(r) }) {
				t.Errorf("%d: %q is printed as %q", i, text, printed)
			}
		}
	}
}
