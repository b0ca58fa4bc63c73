// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"bytes"
	"testing"
	"time"
)

func TestWords(t *testing.T) {
	old := time.Local
	time.Local = time.FixedZone("", 2*60*60)
	t.Cleanup(func() { time.Local = old })
	late := time.Date(2026, 11, 28, 23, 30, 5, 0, time.UTC)
	for _, word := range [][2]string{
		{Day(late), "2026-11-29"}, // by the reader's clock
		{Day(time.Time{}), ""},
		{Moment(late), "2026-11-29 01:30:05"},
		{Moment(time.Time{}), ""},
		{Seconds(1234 * time.Millisecond), "1.23 s"},
		{Joined("key", "Vendor"), "key: Vendor"},
		{Joined("lone", ""), "lone"},
		{WithAlgo("sha256", "ab"), "sha256:ab"},
		{WithAlgo("sha256", ""), ""},
		{PathOf("a\uFFFD", []byte("a\xe9")), "a\xe9"},
		{PathOf("plain", nil), "plain"},
		{Size(1023), "1023 bytes"},
		{Size(1024), "1.0 KiB"},
		{Size(3 << 29), "1.5 GiB"},
		{Size(1 << 60), "1048576.0 TiB"},
		{Count(1, "entry", "entries"), "1 entry"},
		{Count(2, "entry", "entries"), "2 entries"},
		{UserName(0), "root"},
		{UserName(4294967290), "uid 4294967290"},
		{Without("bash", "bash: is old"), "is old"},
		{Without("bash", "refused: bash: is old"), "refused: is old"},
		{Without("", ": : x"), ": : x"},
	} {
		if got, want := word[0], word[1]; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Printed text can do nothing but be read, wherever it is printed.
func TestNothingHostileIsPrinted(t *testing.T) {
	var out, errOut bytes.Buffer
	ui := New(&out, &errOut)
	ui.SetUp(false, true)
	const evil = "a\x1b[2J\u202e\xff"
	ui.Labelled("warn", 4, "fix", evil)
	ui.Labelled("", 0, "nothing", "")
	ui.Trouble(evil, evil)
	ui.Trouble("alone", "")
	if got, want := out.String(), "warn    fix         a\\x1b[2J\\u202e\\xff\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	if got, want := errOut.String(), "digestctl: a\\x1b[2J\\u202e\\xff\n  a\\x1b[2J\\u202e\\xff\ndigestctl: alone\n"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	out.Reset()
	if err := ui.JSON(map[string]string{"a": "<b>&\x1b"}); err != nil || out.String() != "{\n  \"a\": \"<b>&\\u001b\"\n}\n" {
		t.Errorf("for programs: %q, %v", out.String(), err)
	}
	out.Reset()
	ui.Quiet = true
	ui.Labelled("warn", 4, "fix", "text")
	if out.Len() > 0 {
		t.Errorf("quiet, and printed %q", out.String())
	}
}
