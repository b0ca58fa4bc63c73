// SPDX-License-Identifier: Apache-2.0

package object

import (
	"strings"
	"testing"
)

func FuzzArgument(f *testing.F) {
	f.Add("bash", 10)
	f.Add("a\x00", 2)
	f.Add("\u202e\xff", 4)
	f.Fuzz(func(t *testing.T, text string, most int) {
		path, name := Argument{Name: "path", Max: most, Any: true}, Argument{Name: "name", Max: most}
		if path.Check(text) == nil && (len(text) > most || strings.Contains(text, "\x00")) {
			t.Errorf("path %q passed with at most %d bytes", text, most)
		}
		if name.Check(text) == nil {
			if len(text) > most || strings.ContainsAny(text, "\x00\n\r\x1b\u202e") {
				t.Errorf("name %q passed with at most %d bytes", text, most)
			}
			if path.Check(text) != nil {
				t.Errorf("%q is a name and no path", text)
			}
		}
	})
}
