// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWrap(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a1", 32)
	for _, c := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 40, []string{""}},
		{"one line that fits in it", 24, []string{"one line that fits in it"}},
		{"one line that does not fit", 24, []string{"one line that does not", "fit"}},
		{"expected " + digest + " here", 24, []string{"expected", digest, "here"}},
		{"größer als größer als zwanzig", 20, []string{"größer als größer", "als zwanzig"}},
		// No terminal, or one too narrow to make anything better.
		{"one line that does not fit", 0, []string{"one line that does not fit"}},
		{"one line that does not fit", 19, []string{"one line that does not fit"}},
		{"one line that does not fit", -5, []string{"one line that does not fit"}},
	} {
		if diff := cmp.Diff(c.want, Wrap(c.text, c.width)); diff != "" {
			t.Errorf("%q in %d:\n%s", c.text, c.width, diff)
		}
	}
}

func TestTableOnATerminal(t *testing.T) {
	var out strings.Builder
	ui := New(&out, nil)
	ui.width = 50
	ui.Table([]Column{{"NAME", false}, {"FILES", true}, {"NOTE", false}}, [][]Cell{
		{{Text: "a"}, {Text: "1"}, {}},
		{{Text: "a longer name"}, {Text: "1000"}, {Text: "what is to be said of it needs more than a line"}},
	})
	const want = `NAME           FILES  NOTE
a                  1
a longer name   1000  what is to be said of it
                      needs more than a line
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// Characters of East Asia take two columns and combining marks none, so what follows them
// stands where it belongs, and lines break at the terminal's edge.
func TestWidth(t *testing.T) {
	for text, want := range map[string]int{"bash": 4, "größer": 6, "日本語": 6, "e\u0301": 1, "한글": 4, "שלום": 4, "👩\u200d💻": 2, "": 0} {
		if got := Width(text); got != want {
			t.Errorf("%q takes %d columns, want %d", text, got, want)
		}
	}
	var out strings.Builder
	ui := New(&out, nil)
	ui.width = 40
	ui.Table([]Column{{"PACKAGE", false}, {"FILES", true}, {"NOTE", false}}, [][]Cell{
		{{Text: "日本語フォント"}, {Text: "7"}, {Text: "一 二 三 四 五 六 七 八"}},
		{{Text: "cafe\u0301"}, {Text: "1000"}, {Text: "short"}},
	})
	const want = `PACKAGE         FILES  NOTE
日本語フォント      7  一 二 三 四 五 六 七 八
café             1000  short
`
	if diff := cmp.Diff(strings.ReplaceAll(want, `\u0301`, "\u0301"), out.String()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"日本 日本 日本 日本", "日本"}, Wrap("日本 日本 日本 日本 日本", 20)); diff != "" {
		t.Error(diff)
	}
}

// Lines of their own break between words too, and what is copied from them stays whole.
func TestLongLines(t *testing.T) {
	var out strings.Builder
	ui := New(&out, nil)
	ui.width = 40
	ui.Say(Plain, "5 files of 2 packages, 5.0 MiB, 1.00 s: 1 file changed, %s", "/usr/bin/日本語/"+strings.Repeat("x", 40))
	ui.Say(Plain, "short")
	ui.color = true
	ui.Say(Bad, "one two three four five six seven eight nine ten")
	const want = `5 files of 2 packages, 5.0 MiB, 1.00
    s: 1 file changed,
    /usr/bin/日本語/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
short
^[31mone two three four five six seven^[0m
    ^[31meight nine ten^[0m
`
	if diff := cmp.Diff(want, strings.ReplaceAll(out.String(), "\x1b", "^")); diff != "" {
		t.Error(diff)
	}
}

func TestEvent(t *testing.T) {
	var out strings.Builder
	ui := New(&out, nil)
	when := time.Date(2026, 11, 24, 12, 0, 0, 0, time.Local)
	for _, width := range []int{0, 70} {
		ui.width = width
		if err := ui.Event(Bad, when, "refused", "日本語-1-1.noarch: older than 2-1, and nobody granted it"); err != nil {
			t.Fatal(err)
		}
	}
	ui.Quiet = true
	ui.Event(Bad, when, "refused", "bash")
	const want = `2026-11-24 12:00:00  refused     日本語-1-1.noarch: older than 2-1, and nobody granted it
2026-11-24 12:00:00  refused     日本語-1-1.noarch: older than 2-1,
                                 and nobody granted it
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// A number after a text that is read from the right stays in its column, on terminals.
func TestColumnsKeepTheirOrder(t *testing.T) {
	for width, want := range map[int]string{0: "NAME  FILES  STATE\nשלום      3  active\nbash     12  active\n", 80: "NAME  FILES  STATE\nשלום \u200e     3  active\nbash     12  active\n"} {
		var out strings.Builder
		ui := New(&out, nil)
		ui.width = width
		ui.Table([]Column{{"NAME", false}, {"FILES", true}, {"STATE", false}}, [][]Cell{
			{{Text: "שלום"}, {Text: "3"}, {Text: "active"}}, {{Text: "bash"}, {Text: "12"}, {Text: "active"}}})
		if out.String() != want {
			t.Errorf("in %d columns: %q, want %q", width, out.String(), want)
		}
	}
	if Width(" \u200e ") != 2 {
		t.Error("the mark takes a column")
	}
}

func TestSafe(t *testing.T) {
	for text, want := range map[string]string{
		"plain, größer, 日本":      "plain, größer, 日本",
		"\x1b[2J\r\n\t\x00":      `\x1b[2J\r\n\t\x00`,
		"\u202egnp.exe\u2066":    `\u202egnp.exe\u2066`,
		"latin-\xe9, \uFFFD":     "latin-\\xe9, \uFFFD",
		"\U000e0041 tag, \u0085": `\U000e0041 tag, \u0085`,
	} {
		if got := Safe(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("bash")
	f.Add("\x1b[2J\xff\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := Safe(s)
		if strings.ContainsAny(got, "\x00\x07\x08\x1b\r\n\u0085\u009b\u202a\u202e\u2066") {
			t.Errorf("%q became %q", s, got)
		}
		if Safe(got) != got {
			t.Errorf("%q is not safe yet", got)
		}
	})
}

func TestWithout(t *testing.T) {
	for _, c := range [][3]string{
		{"a-1-1.noarch", "a-1-1.noarch: header is not signed", "header is not signed"},
		{"a-1-1.noarch", "the list of a-1-1.noarch is withheld: a-1-1.noarch: not signed", "the list of a-1-1.noarch is withheld: not signed"},
		{"a-1-1.noarch", "a-1-1.noarch is older than 2-1", "a-1-1.noarch is older than 2-1"},
		{"", "anything: at all", "anything: at all"},
	} {
		if got := Without(c[0], c[1]); got != c[2] {
			t.Errorf("without(%q, %q) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// The name of a fact may be digestd's, such as that of a room of the log.
func TestFactNamesAreSafe(t *testing.T) {
	var out bytes.Buffer
	New(&out, &out).Fact("room\x1b[2J\u202e", "text")
	if got := out.String(); strings.ContainsAny(got, "\x1b\u202e") || !strings.Contains(got, `room\x1b[2J\u202e text`) {
		t.Errorf("printed %q", got)
	}
}
